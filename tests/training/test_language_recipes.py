"""The paper's recipes for language modelling: true widths on the meta device, and tiny ones on WikiText's files."""

import json
import math

import pytest
import torch
from tokenizers import Tokenizer

from passes.masks import per_sample_masks
from regdrop import attach
from regdrop.errors import DataError
from regdrop.tasks.language_modeling import TASK
from regdrop.training.arguments import training_arguments
from regdrop.training.evaluation import evaluate
from regdrop.training.plain import PlainLoss
from regdrop.training.recipe import load_recipe
from regdrop.training.run import train
from regdrop.training.trainer import TaskTrainer

PAPER = {
    "wikitext103_transformer": {"model.vocabulary": 60},
    "wikitext103_adaptive": {"model.vocabulary": 60, "model.cutoffs": "10,20"},
}
SIZES = {
    "data.block": 16,
    "data.window": 12,
    "data.context": 5,
    "model.width": 16,
    "model.depth": 2,
    "model.heads": 2,
    "model.feed_forward": 32,
    "model.positions": 17,
    "train.steps": 2,
    "train.eval_every": 1,
    "train.batch_size": 4,
    "train.micro_batch": 2,
    "train.precision": "fp32",
    "train.workers": 0,
}
LINES = {"train": 60, "valid": 8, "test": 9}


def text(count, seed):
    """Lines as WikiText has them: titles between empty lines, words apart by blanks."""
    random = torch.Generator().manual_seed(seed)
    numbers = torch.randint(40, (count, 9), generator=random).square() // 40  # some words are more frequent
    rows = [" " + " ".join(f"w{number}" for number in row) + " . \n" for row in numbers.tolist()]
    rows[0] = " = Title with an <unk> = \n"
    rows[1] = " \n"
    return "".join(rows)


@pytest.fixture
def wikitext(tmp_path):
    """A folder with the three files of WikiText-103, tiny."""
    folder = tmp_path / "wikitext-103"
    folder.mkdir()
    for seed, (part, count) in enumerate(LINES.items()):
        (folder / f"wiki.{part}.tokens").write_text(text(count, seed))
    return folder


def recipe_of(name, folder, **changes):
    settings = SIZES | PAPER[name] | {"data.path": folder} | changes
    return load_recipe(name, [f"--{key}={value}" for key, value in settings.items()])


def steps_of(run):
    lines = [json.loads(line) for line in (run / "records.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines if "loss" in line]


@pytest.mark.parametrize("name", PAPER)
def test_a_paper_recipe_takes_two_steps_and_is_scored_by_the_word(name, wikitext, tmp_path):
    recipe = recipe_of(name, wikitext)
    summary = train(recipe, tmp_path / "run", seed=1, progress=False)
    assert len(steps_of(tmp_path / "run")) == 2
    for line in steps_of(tmp_path / "run"):
        assert line["kl"] > 0
        assert line["loss"] == pytest.approx(line["task_loss"] + recipe.rdrop.alpha * line["kl"], rel=1e-4)
    assert set(summary.test) == {"perplexity", "loss"}
    assert summary.test["perplexity"] == pytest.approx(math.exp(summary.test["loss"]))
    assert evaluate(recipe, tmp_path / "run", progress=False) == pytest.approx(summary.test, rel=1e-5)


def test_an_interrupted_run_goes_on_along_its_schedule(wikitext, tmp_path, monkeypatch):
    changes = {"train.steps": 4, "train.warmup_steps": 1, "train.restart_period": 2, "train.eval_every": 2}
    recipe = recipe_of("wikitext103_adaptive", wikitext, **changes)
    train(recipe, tmp_path / "whole", seed=1, progress=False)
    original = TaskTrainer.training_step

    def stopped(self, *args, **kwargs):
        if self.state.global_step == 3:
            raise KeyboardInterrupt
        return original(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(TaskTrainer, "training_step", stopped)
        with pytest.raises(KeyboardInterrupt):
            train(recipe, tmp_path / "parts", seed=1, progress=False)
    train(recipe, tmp_path / "parts", seed=1, resume=True, progress=False)
    assert steps_of(tmp_path / "parts") == steps_of(tmp_path / "whole")
    rates = [line["lr"] for line in steps_of(tmp_path / "parts")]
    assert rates == pytest.approx([0, 1, 0.50005, 0.75])


MODELS = {"wikitext103_transformer": 290_683_392, "wikitext103_adaptive": 246_933_504}


@pytest.mark.parametrize("name", MODELS)
def test_a_paper_recipe_builds_the_paper_s_model(name):
    with torch.device("meta"):
        model = TASK.build(load_recipe(name).model)
    assert sum(weight.numel() for weight in model.parameters()) == MODELS[name]


@pytest.mark.parametrize("name", PAPER)
@pytest.mark.parametrize("enabled", [True, False], ids=["R-Drop", "plain"])
def test_accumulation_does_not_move_the_loss(name, enabled, wikitext, tmp_path):
    """Four windows at once, or one at a time: the same gradient, although the last window is not full."""
    gradients = []
    for micro in (4, 1):
        changes = {"train.micro_batch": micro, "train.steps": 1, "train.max_grad_norm": 0}
        changes |= {"model.softmax_dropout": 0.0}
        recipe = recipe_of(name, wikitext, **changes)
        torch.manual_seed(0)
        gradients.append(one_gradient(recipe, enabled, tmp_path))
    assert gradients[0]
    assert gradients[0].keys() == gradients[1].keys()
    for key, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][key], rtol=1e-4, atol=1e-6, msg=key)


def one_gradient(recipe, enabled, folder):
    """The gradient that the first update is made with, masks depending on window and pass alone."""
    model, splits = TASK.build(recipe.model), TASK.load(recipe.data, recipe.model, 0)
    last = len(splits.train) - 1
    items = [splits.train[index] for index in (0, 3, 5, last)]
    assert int((items[-1]["labels"] != -100).sum()) < recipe.data.block
    for row, item in enumerate(items):
        item["input_ids"][0] = row  # tells the windows apart
    splits = type(splits)(items, [], [], splits.collate)
    arguments = training_arguments(recipe.train, folder, 0, save_strategy="no")
    plain = None if enabled else PlainLoss(model)
    trainer = TaskTrainer(TASK, splits, model, arguments, recipe.train, plain=plain)
    handle = attach(trainer, 1.0) if enabled else None
    gradients = {}
    with per_sample_masks(model):
        trainer.create_optimizer()
        trainer.optimizer.step = lambda *args, **kwargs: gradients.update(
            {name: part.grad.clone() for name, part in model.named_parameters()}
        )
        trainer.train()
    if handle:
        handle.remove()
    return gradients


def test_weights_are_not_read_with_tokens_of_another_text(wikitext, tmp_path):
    recipe, run = recipe_of("wikitext103_transformer", wikitext), tmp_path / "run"
    trained = train(recipe, run, seed=1, progress=False)
    assert Tokenizer.from_file(str(run / "tokenizer.json")).get_vocab_size() <= 60
    assert evaluate(recipe, run / "best", progress=False) == trained.test
    (wikitext / "wiki.train.tokens").write_text(text(LINES["train"], seed=7))
    for weights in (run, run / "best", run / "best" / "model.safetensors", run / "checkpoint-2"):
        with pytest.raises(DataError, match=r"tokenizer\.json"):
            evaluate(recipe, weights, progress=False)
