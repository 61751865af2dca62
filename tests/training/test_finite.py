"""Numbers that are not finite stop a run or are skipped, and the message names step, items and parameter."""

import json
import logging
import math

import pytest
import torch
from safetensors.torch import load_file

from regdrop.errors import NonFiniteError
from regdrop.tasks.images import labelled
from regdrop.training import run
from regdrop.training.finite import first_nonfinite
from regdrop.training.folder import RunFolder
from regdrop.training.trainer import TaskTrainer
from tiny import tiny_recipe

BAD = 7  # the item of the training data that is spoilt


def train(out, **changes):
    recipe = tiny_recipe(train__steps=6, train__eval_every=1, train__batch_size=32, data__train_limit=64, **changes)
    return run.train(recipe, out, seed=0, progress=False)


def steps(out):
    return [json.loads(line)["step"] for line in (out / "records.jsonl").read_text().splitlines() if '"loss"' in line]


@pytest.fixture
def spoilt_data(monkeypatch):
    """One item is NaN whenever it is fetched for training."""
    original = labelled.ImageDataset.__getitems__

    def fetch(self, indices):
        batch = original(self, indices)
        if len(self) == 64:
            batch["pixel_values"][[place for place, index in enumerate(indices) if index == BAD]] = math.nan
        return batch

    monkeypatch.setattr(labelled.ImageDataset, "__getitems__", fetch)


@pytest.mark.usefixtures("spoilt_data")
def test_nan_in_the_data_names_the_item(tmp_path):
    message = rf"loss is nan \(pixel_values of items {BAD} of the training data holds NaN"
    with pytest.raises(NonFiniteError, match=message):
        train(tmp_path / "run")


@pytest.mark.usefixtures("spoilt_data")
@pytest.mark.parametrize("changes", [{}, {"rdrop__enabled": "false"}, {"train__micro_batch": 8}])
def test_a_skipped_step_leaves_weights_and_records_alone(tmp_path, caplog, changes):
    with caplog.at_level(logging.WARNING):
        summary = train(tmp_path / "run", train__on_nonfinite="skip", train__average_last=6, **changes)
    left_out = [int(text.split()[1]) for text in caplog.messages if "is left out: loss is nan" in text]
    assert len(left_out) == 3  # two batches an epoch, one of which holds the item
    assert sorted(steps(tmp_path / "run") + left_out) == [1, 2, 3, 4, 5, 6]
    assert all(math.isfinite(value) for value in summary.test.values())
    last = max(step for step in left_out if step > 3)
    checkpoints = (tmp_path / "run" / f"checkpoint-{step}" / "model.safetensors" for step in (last - 1, last))
    before, after = map(load_file, checkpoints)
    assert all(torch.equal(before[key], after[key]) for key in before)


def spoil(monkeypatch, step, change):
    """Change the model before the step after so many."""
    original = TaskTrainer.training_step

    def training_step(self, model, *args, **kwargs):
        if self.state.global_step == step:
            change(model)
        return original(self, model, *args, **kwargs)

    monkeypatch.setattr(TaskTrainer, "training_step", training_step)


@pytest.mark.parametrize("mode", ["stop", "skip"])
def test_nan_in_a_weight_names_it_and_is_not_skipped(tmp_path, monkeypatch, mode):
    spoil(monkeypatch, 2, lambda model: model.vit.norm.weight.data.fill_(math.nan))
    message = r"loss is nan \(weight \S*norm\.weight holds NaN or inf\), items .* at step 3; .*checkpoint-2; .*skip"
    with pytest.raises(NonFiniteError, match=message):
        train(tmp_path / "run", train__on_nonfinite=mode)
    assert RunFolder(tmp_path / "run").last_checkpoint() == 2


def test_an_infinite_gradient_names_its_parameter(tmp_path, monkeypatch):
    def change(model):
        weight = next(weight for name, weight in model.named_parameters() if name.endswith("head.bias"))
        weight.register_hook(lambda gradient: gradient * math.inf)

    spoil(monkeypatch, 1, change)
    with pytest.raises(NonFiniteError, match=r"the gradient of \S*head\.bias is not finite .*, items .* at step 2;"):
        train(tmp_path / "run")


def test_weights_that_are_not_finite_are_not_saved(tmp_path, monkeypatch):
    original = TaskTrainer.evaluate

    def evaluate(self, *args, **kwargs):
        metrics = original(self, *args, **kwargs)
        if self.state.global_step == 2:
            self.model.vit.norm.weight.data[0] = math.inf
        return metrics

    monkeypatch.setattr(TaskTrainer, "evaluate", evaluate)
    with pytest.raises(NonFiniteError, match=r"weight \S*norm\.weight holds NaN or inf at step 2; .*checkpoint-1;"):
        train(tmp_path / "run")
    assert RunFolder(tmp_path / "run").last_checkpoint() == 1


def test_the_first_tensor_that_is_not_finite():
    good, bad = torch.zeros(3), torch.tensor([0, math.inf])
    assert first_nonfinite([("words", "text"), ("whole", torch.tensor([1])), ("good", good)]) is None
    assert first_nonfinite([("good", good), ("bad", bad), ("worse", bad * bad)]) == "bad"
