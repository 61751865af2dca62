"""Real processes: DDP and FSDP2 train as one process does, and a killed run resumes bit for bit."""

import pytest
import torch

from correctness.processes import torchrun
from correctness.steps import CASE, KINDS, model_for, train
from passes.two_pass import relative_error


@pytest.fixture(scope="module")
def one_process():
    """The steps of concatenated passes, by mode: with a shared prefix the noise starts late."""
    return {mode: train("plain", model=model_for(mode)) for mode in ("concat", "shared")}


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("steps")
    torchrun("correctness.steps", folder)
    return folder


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_twenty_steps_in_two_processes_give_the_parameters_of_one(kind, one_process, two_processes):
    found = torch.load(two_processes / f"{kind}.pt", weights_only=True)
    start = {name: parameter.detach() for name, parameter in CASE.model().double().named_parameters()}
    expected = one_process["shared" if "shared" in kind else "concat"]
    moves = [{name: each[name] - start[name] for name in start} for each in (found, expected)]
    assert relative_error(*moves) < 1e-8


def test_a_killed_run_resumes_bit_for_bit(tmp_path):
    torchrun("correctness.resume", tmp_path, "whole", "never")
    torchrun("correctness.resume", tmp_path, "killed", "5", expect=1)
    assert not (tmp_path / "killed.pt").exists()
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["step-3"]
    torchrun("correctness.resume", tmp_path, "resumed", "never")
    whole, resumed = (torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in ("whole", "resumed"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
