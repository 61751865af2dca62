"""Language modelling from text files to scores: the splits, what is refused, and the units of a score."""

import math
import os
from pathlib import Path

import pytest
import torch

from regdrop.errors import DataError, RecipeError
from regdrop.tasks.language_modeling import TASK
from regdrop.training.arguments import training_arguments
from regdrop.training.recipe import load_recipe
from regdrop.training.trainer import TaskTrainer


def parts(splits):
    return [splits.train.text, splits.validation.text, splits.test.text]


def test_text_in_two_parts_gives_the_end_of_its_training_text_to_validation(tmp_path):
    lines = [f"line {number}" for number in range(20)]
    (tmp_path / "train.txt").write_text("\n".join(lines) + "\n")
    (tmp_path / "validation.txt").write_text("a test\n")
    settings = ["--data.unit=word", "--data.validation=4", f"--data.path={tmp_path}", "--data.train_limit=10"]
    recipe = load_recipe("tiny_shakespeare_gpt", settings)
    train_part, validation, test = parts(TASK.load(recipe.data, recipe.model, 0))
    assert (train_part.words, validation.words, test.words) == (10 * 3, 4 * 3, 3)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (["--data.validation=null"], RecipeError, "pass --data.validation LINES"),
        (["--data.validation=20"], DataError, "cannot hold out 20 of 20 lines"),
        (["--data.path=null"], DataError, r"not on the hub; pass --data\.path FOLDER"),
        (["--data.block=129"], RecipeError, "windows have 130 tokens, the model takes 129"),
        (["--data.window=200"], RecipeError, "windows have 201 tokens, the model takes 129"),
        (["--model.vocabulary=100"], RecipeError, "model.vocabulary 100 is too small"),
    ],
    ids=str,
)
def test_what_cannot_be_loaded_is_refused(tmp_path, changes, error, message):
    (tmp_path / "train.txt").write_text("some line\n" * 20)
    (tmp_path / "test.txt").write_text("some line\n")
    settings = ["--data.validation=4", f"--data.path={tmp_path}", "--model.positions=129", *changes]
    recipe = load_recipe("tiny_shakespeare_gpt", settings)
    with pytest.raises(error, match=message):
        TASK.load(recipe.data, recipe.model, 0)


def test_a_context_that_leaves_nothing_is_refused():
    with pytest.raises(RecipeError, match=r"data\.context 128 leaves nothing"):
        load_recipe("tiny_shakespeare_gpt", ["--data.context=128"])


def shakespeare():
    folder = Path(os.environ.get("REGDROP_DATA", "")) / "tinyshakespeare"
    if not (folder / "train.txt").is_file():
        pytest.skip("REGDROP_DATA has no tinyshakespeare/train.txt")
    return folder


@pytest.mark.parametrize(("unit", "vocabulary"), [("bpe", 300), ("character", 80)])
def test_scores_are_of_the_text_whatever_its_tokens(unit, vocabulary, tmp_path):
    """A model that knows nothing needs log2(vocabulary) bits a token."""
    changes = {"data.path": shakespeare(), "data.unit": unit, "model.vocabulary": vocabulary, "model.width": 4}
    changes |= {"data.train_limit": "null", "model.depth": 1, "model.heads": 1}  # the first 3,000 lines have no Z
    recipe = load_recipe("tiny_shakespeare_gpt", [f"--{key}={value}" for key, value in changes.items()])
    model, splits = TASK.build(recipe.model), TASK.load(recipe.data, recipe.model, 0)
    torch.nn.init.zeros_(model.transformer.ln_f.weight)
    arguments = training_arguments(recipe.train, tmp_path, seed=0)
    scores = TaskTrainer(TASK, splits, model, arguments, recipe.train).evaluate(splits.test)
    tokens = len(splits.test.text.tokens) - 1
    assert scores["eval_loss"] == pytest.approx(math.log(vocabulary), rel=1e-5)
    assert scores["eval_perplexity"] == pytest.approx(vocabulary, rel=1e-4)
    assert splits.test.text.characters == 111_540
    assert scores["eval_bits_per_character"] == pytest.approx(math.log2(vocabulary) * tokens / 111_540, rel=1e-5)
    words = math.log(scores["eval_word_perplexity"]) * splits.test.text.words
    assert words == pytest.approx(math.log(vocabulary) * tokens, rel=1e-5)
