"""A checkpoint that was sealed by somebody else is continued from or refused; nothing in it is run."""

import json
import os
import pickle
import shutil

import pytest
import torch

from regdrop.errors import CheckpointError
from regdrop.training.folder import RunFolder
from regdrop.training.run import train
from tiny import tiny_recipe


class Harmful:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def begin(out, **changes):
    return train(tiny_recipe(**changes), out, seed=0, resume=True, progress=False)


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """A run that has its checkpoint of step 3 alone, and its outcome."""
    out = tmp_path_factory.mktemp("interrupted") / "run"
    summary = begin(out)
    (out / "summary.json").unlink()
    shutil.rmtree(RunFolder(out).checkpoint(6))
    return out, summary


@pytest.fixture
def out(tmp_path, interrupted):
    return shutil.copytree(interrupted[0], tmp_path / "run")


def refuse(out):
    RunFolder(out).seal(3)
    with pytest.raises(CheckpointError, match=r"checkpoint-3 cannot be continued from \(.*\); remove it, then pass"):
        begin(out)


def test_a_checkpoint_that_is_sealed_anew_is_continued_from(out, interrupted):
    RunFolder(out).seal(3)
    assert begin(out).test == interrupted[1].test


FILES = ["optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json", "model.safetensors"]


@pytest.mark.parametrize("file", FILES)
def test_a_file_that_would_run_code_is_refused_and_not_run(out, tmp_path, file):
    path = RunFolder(out).checkpoint(3) / file
    torch.save({"state": Harmful(tmp_path / "harm")}, path)
    refuse(out)
    path.write_bytes(pickle.dumps(Harmful(tmp_path / "harm")))
    refuse(out)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("file", FILES)
def test_a_file_of_something_else_is_refused(out, file):
    (RunFolder(out).checkpoint(3) / file).write_bytes(b"thesis")
    refuse(out)


@pytest.mark.parametrize("content", [{}, [], {"param_groups": []}])
@pytest.mark.parametrize("file", FILES[:3])
def test_a_state_of_something_else_is_refused(out, file, content):
    torch.save(content, RunFolder(out).checkpoint(3) / file)
    refuse(out)


@pytest.mark.parametrize("step", [4, "3", None, -1])
def test_a_state_of_another_step_is_refused(out, step):
    path = RunFolder(out).checkpoint(3) / "trainer_state.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"global_step": step}))
    refuse(out)
