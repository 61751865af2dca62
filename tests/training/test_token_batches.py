"""Batches of so many tokens in the Trainer: every row once an epoch, the loss over the whole step, resumed, shared."""

import json
import os
import subprocess
import sys

import pytest

import sentence_files
from regdrop.errors import RecipeError
from regdrop.tasks.tokens.sentences import SentenceDataset
from regdrop.training.run import train
from regdrop.training.summary import RunSummary
from regdrop.training.trainer import TaskTrainer
from tiny import tiny_recipe

TOKENS = 96
CHANGES = {
    "train.max_tokens": TOKENS,
    "train.batch_size": 2 * TOKENS,
    "train.steps": 7,
    "train.eval_every": 3,
    "train.learning_rate": 0.01,
    "model.dropout": 1e-9,
    "model.attention_dropout": 0,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return sentence_files.write(tmp_path_factory.mktemp("data"), "sst2", train=60, validation=20, test=20)


def recipe(data, **changes):
    given = {key.replace(".", "__"): value for key, value in CHANGES.items()}
    return sentence_files.tiny_recipe("sst2_scratch", data, **given | changes)


def records(run):
    lines = [json.loads(line) for line in (run / "records.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def test_an_epoch_has_every_row_once_and_no_batch_is_too_large(data, tmp_path, monkeypatch):
    served = []
    original = SentenceDataset.__getitems__

    def recorded(self, indices):
        batch = original(self, indices)
        if len(self) == 60:
            served.append((list(indices), batch["input_ids"].numel()))
        return batch

    monkeypatch.setattr(SentenceDataset, "__getitems__", recorded)
    train(recipe(data, train__steps=30, train__eval_every=30), tmp_path, seed=0, progress=False)
    assert max(size for _, size in served) <= TOKENS
    rows = [index for indices, _ in served for index in indices]
    first, second = rows[:60], rows[60:120]
    assert sorted(first) == sorted(second) == list(range(60))
    assert first != second


@pytest.mark.parametrize("enabled", ["true", "false"])
def test_an_interrupted_run_continues_as_if_nothing_had_happened(data, tmp_path, monkeypatch, enabled):
    wanted = recipe(data, rdrop__enabled=enabled, model__dropout=0.1)
    whole = train(wanted, tmp_path / "whole", seed=0, progress=False)
    original = TaskTrainer.training_step

    def interrupted(self, *args, **kwargs):
        if self.state.global_step == 5:
            raise KeyboardInterrupt
        return original(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(TaskTrainer, "training_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(wanted, tmp_path / "parts", seed=0, progress=False)
    parts = train(wanted, tmp_path / "parts", seed=0, resume=True, progress=False)
    assert records(tmp_path / "parts") == records(tmp_path / "whole")
    assert (parts.test, parts.best_step) == (whole.test, whole.best_step)


SHARED = """
from regdrop.training.recipe import load_recipe
from regdrop.training.run import train

for name in ("r-drop", "baseline"):
    train(load_recipe(f"{name}.yaml"), Path(name), seed=0, progress=False)
"""


def test_two_processes_make_the_steps_of_one(tmp_path):
    """The same two batches a step, one in each process or one after the other, unlike in rows and tokens."""
    many = sentence_files.write(tmp_path / "data", "sst2", train=200, validation=20, test=20)  # no epoch ends
    for name, enabled in (("r-drop", "true"), ("baseline", "false")):
        wanted = recipe(many, rdrop__enabled=enabled)
        train(wanted, tmp_path / "one" / name, seed=0, progress=False)
        (tmp_path / f"{name}.yaml").write_text(wanted.to_yaml())
    (tmp_path / "both.py").write_text(f"from pathlib import Path\n{SHARED}")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "both.py"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(launch, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    for name in ("r-drop", "baseline"):
        alone, together = records(tmp_path / "one" / name), records(tmp_path / name)
        assert len(alone) == len(together) == 10
        for first, second in zip(alone, together, strict=True):
            for key in first.keys() - {"kl"}:  # the divergence is rounding alone
                assert second[key] == pytest.approx(first[key], rel=1e-3), key
        scores = [
            RunSummary.from_json((run / name / "summary.json").read_text()).test for run in (tmp_path, tmp_path / "one")
        ]
        assert scores[0] == pytest.approx(scores[1], rel=1e-3)


def test_items_without_tokens_are_refused(tmp_path):
    with pytest.raises(
        RecipeError, match=r"train.max_tokens is 64, but this task's items have no tokens; leave it out"
    ):
        train(tiny_recipe(train__max_tokens=64), tmp_path / "run", seed=0, progress=False)
    assert not (tmp_path / "run").exists()
