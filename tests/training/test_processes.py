"""Two real processes train one model: the batch is shared out, one of them keeps the records."""

import json
import subprocess
import sys

import pytest

from regdrop.training.evaluation import evaluate
from regdrop.training.recipe import load_recipe
from regdrop.training.summary import RunSummary
from tiny import SETTINGS

CHANGES = {"train.steps": 4, "train.eval_every": 2, "train.learning_rate": 0.01, "model.dropout": 1e-9}
TINY = [f"--{key}={value}" for key, value in (SETTINGS | CHANGES).items()]


def train(out, processes):
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []
    command = [sys.executable, *launch, "-m", "regdrop", "train", "digits_vit", "--out", str(out), *TINY]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in (out / "records.jsonl").read_text().splitlines()]
    return RunSummary.from_json((out / "summary.json").read_text()), records


def test_two_processes_make_the_steps_of_one(tmp_path):
    """With a rate so low that nothing is ever dropped, the losses are those of one process on the whole batch."""
    one, alone = train(tmp_path / "one", 1)
    two, together = train(tmp_path / "two", 2)
    assert [(line["step"], "loss" in line) for line in together] == [(line["step"], "loss" in line) for line in alone]
    for first, second in zip(alone, together, strict=True):
        for key in first.keys() - {"seconds", "kl"}:  # the divergence is rounding alone
            assert second[key] == pytest.approx(first[key], rel=1e-3), key
    assert two.best_step == one.best_step
    whole = evaluate(load_recipe(tmp_path / "two"), tmp_path / "two", progress=False)
    assert two.test["accuracy"] == whole["accuracy"]
    assert two.test["loss"] == pytest.approx(whole["loss"], rel=1e-6)
