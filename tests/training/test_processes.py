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


def command(processes, *words):
    """What a command of regdrop's prints as JSON, in so many processes."""
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []
    line = [sys.executable, *launch, "-m", "regdrop", *map(str, words), "--json"]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def train(out, processes):
    printed = command(processes, "train", "digits_vit", "--out", out, *TINY)
    assert printed == json.loads((out / "summary.json").read_text())
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
    for shared in (two.test, command(2, "eval", tmp_path / "two")):
        assert shared["accuracy"] == whole["accuracy"]
        assert shared["loss"] == pytest.approx(whole["loss"], rel=1e-6)
