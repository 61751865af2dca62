import dataclasses

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from regdrop.errors import RecipeError
from regdrop.tasks.models.cnn import CNNModel
from regdrop.tasks.models.vit import ViTModel
from regdrop.tasks.vision import ImageData
from regdrop.training.recipe import MAX_CHARACTERS, load_recipe, recipe_names
from regdrop.training.settings import RDropSettings, TrainSettings

PLAIN = load_recipe("digits_vit")


def written(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return path


def test_sections_have_the_types_of_their_task():
    assert isinstance(PLAIN.data, ImageData)
    assert isinstance(PLAIN.model, ViTModel)
    assert isinstance(PLAIN.rdrop, RDropSettings)
    assert isinstance(PLAIN.train, TrainSettings)
    assert PLAIN.name == "digits_vit"


def test_overrides_change_what_they_name_and_nothing_else():
    changed = load_recipe(
        "digits_vit",
        ["--rdrop.alpha", "0.25", "--rdrop.enabled=false", "--train.learning_rate", "1e-4", "--data.train_limit=null"],
    )
    assert changed == dataclasses.replace(
        PLAIN,
        rdrop=dataclasses.replace(PLAIN.rdrop, alpha=0.25, enabled=False),
        train=dataclasses.replace(PLAIN.train, learning_rate=1e-4),
        data=dataclasses.replace(PLAIN.data, train_limit=None),
    )


def test_a_path_that_looks_like_a_number_stays_text():
    assert load_recipe("fashion_mnist_vit", ["--data.path", "2026"]).data.path == "2026"


def test_the_last_of_two_overrides_counts():
    assert load_recipe("digits_vit", ["--rdrop.alpha", "1", "--rdrop.alpha", "2"]).rdrop.alpha == 2


@pytest.mark.parametrize("name", recipe_names())
def test_what_is_written_out_is_read_back(tmp_path, name):
    recipe = load_recipe(name)
    assert load_recipe(written(tmp_path, recipe.to_yaml())) == recipe
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.yaml").write_text(recipe.to_yaml())
    assert load_recipe(tmp_path / "run") == recipe


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["--train.stepz", "3"], r"unknown key 'train\.stepz': did you mean 'train\.steps'"),
        (["--trian.steps", "3"], r"unknown key 'trian\.steps': did you mean 'train'"),
        (["--train.steps"], r"--train\.steps needs a value"),
        (["train.steps", "3"], r"expected a setting such as --rdrop\.alpha 1\.0, but got 'train\.steps'"),
        (["--train.steps", "many"], r"\"train\.steps\".*'int'.*many"),
        (["--train.steps", "1.5"], r"\"train\.steps\".*'int'.*1\.5"),
        (["--train.steps", "0"], r"train\.steps is 0, but must be at least 1"),
        (["--train.optimizer", "adam"], r"\"train\.optimizer\".*adamw.*adam"),
        (["--rdrop.alpha", "-1"], r"rdrop\.alpha is -1\.0"),
        (["--rdrop.alpha", "nan"], r"rdrop\.alpha"),
        (["--rdrop.passes", "1"], r"rdrop\.passes is 1, but must be between 2 and 64"),
        (["--data.source", "mnist"], r"\"data\.source\".*fashion_mnist.*mnist"),
        (["--model.width", "null"], r"required: model\.width"),
    ],
)
def test_bad_overrides_are_answered_in_one_line(overrides, message):
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe("digits_vit", overrides)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("task: [", "is not YAML"),
        ("!!python/object/apply:os.system ['echo hi']", "is not YAML"),
        ("just words", "is no recipe"),
        ("task: image_clasification", "did you mean 'image_classification'"),
        ("task: image_classification\nextra: {a: 1}", "unknown section 'extra'"),
        ("task: image_classification\ndata: digits", "unknown section 'data'"),
        ("task: image_classification\ndata: {source: digits, validation: [1, 2]}", "one plain value, not a list"),
        ("task: image_classification\ndata: {source: digits}", r"data\.validation"),
        ("x: " + "y" * MAX_CHARACTERS, "at most"),
    ],
)
def test_bad_files_are_answered_in_one_line(tmp_path, text, message):
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe(written(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_an_unknown_recipe_names_the_nearest():
    with pytest.raises(RecipeError, match="there is no recipe in runs/nothing; pass a YAML file, the folder of a run"):
        load_recipe("runs/nothing")
    with pytest.raises(RecipeError, match="unknown recipe 'digits_vlt': did you mean 'digits_vit'"):
        load_recipe("digits_vlt")


@given(st.text(max_size=60))
def test_no_text_causes_any_other_error(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    path.write_bytes(b"task: image_classification\n" + text.encode("utf-8", "surrogatepass"))
    with pytest.raises(RecipeError):
        load_recipe(path)


def test_a_recipe_is_plain_yaml():
    assert yaml.safe_load(PLAIN.to_yaml()) == PLAIN.to_dict()


def test_the_architecture_decides_the_keys_of_the_model(tmp_path):
    recipe = load_recipe("fashion_mnist_cnn", ["--model.dropout", "0.2"])
    assert (type(recipe.model), recipe.model.dropout) == (CNNModel, 0.2)
    (tmp_path / "recipe.yaml").write_text(recipe.to_yaml())
    assert dataclasses.replace(load_recipe(tmp_path), name=recipe.name) == recipe
    assert load_recipe("digits_vit", ["--model.architecture", "vit"]) == load_recipe("digits_vit")


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("fashion_mnist_cnn", ["--model.patch_size", "7"], "unknown key 'model.patch_size'"),
        ("fashion_mnist_vit", ["--model.architecture", "cnn"], "unknown key 'model.patch_size'"),
        ("fashion_mnist_vit", ["--model.architecture", "cmn"], "unknown model.architecture 'cmn': did you mean 'cnn'"),
        ("fashion_mnist_vit", ["--model.architecture", "null"], "unknown model.architecture 'null'"),
        ("sst2_scratch", ["--model.architecture", "cnn"], "model.architecture"),
    ],
)
def test_keys_of_another_architecture_and_unknown_ones_are_refused(name, settings, words):
    with pytest.raises(RecipeError, match=words):
        load_recipe(name, settings)


@pytest.mark.parametrize("text", ["\\ud800", "a\\0b"])
@pytest.mark.parametrize("key", ["name", "data.path"])
def test_a_text_that_no_path_can_be_is_refused(tmp_path, key, text):
    raw = yaml.safe_load(PLAIN.to_yaml())
    section, _, name = key.partition(".")
    (raw[section] if name else raw)[name or section] = "HERE"
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(raw).replace("HERE", f'"{text}"'))
    with pytest.raises(RecipeError, match=f"{key} is '.*', which holds half a character or a zero byte"):
        load_recipe(path)
