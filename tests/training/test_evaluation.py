"""Scores of a part: exact whatever the batches, generated text included, its signature kept."""

import dataclasses
import json
import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from regdrop.cli import main
from regdrop.tasks import vision
from regdrop.tasks.task import find_task
from regdrop.training.evaluation import evaluate, score
from regdrop.training.run import train
from tiny import tiny_recipe


@pytest.mark.parametrize("size", [7, 256])
def test_the_loss_is_the_mean_over_the_items_however_they_are_batched(size):
    recipe = tiny_recipe(train__eval_batch=size)
    torch.manual_seed(0)
    task = find_task(recipe.task)
    model, splits = task.build(recipe.model).eval(), task.load(recipe.data, recipe.model, 0)
    torch.nn.init.normal_(model.vit.head.weight)
    batch = splits.test.__getitems__(range(len(splits.test)))
    with torch.no_grad():
        logits = model(batch["pixel_values"]).logits
    metrics = score(recipe, model, splits, "test", progress=False)
    assert metrics["loss"] == pytest.approx(cross_entropy(logits, batch["labels"]).item(), rel=1e-5)
    assert metrics["accuracy"] == pytest.approx((logits.argmax(-1) == batch["labels"]).float().mean().item())


@pytest.fixture
def writing(monkeypatch):
    """The vision task as one that generates: its metric is the size of what it is asked for."""
    asked = []

    def decode(network, part, splits, batch, progress):
        asked.append((part is splits.test, part is splits.validation, batch, progress, network.training))
        return {"bleu": float(len(part))}

    task = dataclasses.replace(vision.TASK, decode=decode, signatures=lambda data: {"bleu": f"source:{data.source}"})
    monkeypatch.setattr(vision, "TASK", task)
    return asked


def test_text_is_generated_once_for_what_is_reported_and_never_while_training(writing, tmp_path, capsys):
    summary = train(tiny_recipe(train__eval_batch=64), tmp_path / "run", seed=0, progress=False)
    assert writing == [(True, False, 64, False, False)]
    assert summary.test["bleu"] == 900
    assert "bleu" not in summary.validation
    assert summary.signatures == {"bleu": "source:digits"}
    assert evaluate(tiny_recipe(), tmp_path / "run", split="validation", progress=False)["bleu"] == 597
    assert main(["eval", str(tmp_path / "run"), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["bleu signature"] == "source:digits"
    assert math.isfinite(printed["loss"])
