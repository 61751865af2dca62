"""Killed or asked to stop at any moment, a run comes out the same to the last bit."""

import os
import random
import re
import signal

import pytest

from regdrop.training.folder import RunFolder
from reliability.runs import log_of, outcome, same, seconds_of, train, train_killed, words
from reliability.sessions import go_on, halted, kill, start


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The uninterrupted run and its seconds, for one process and two."""
    outs = {}
    for processes in (1, 2):
        out = tmp_path_factory.mktemp(f"whole{processes}") / "run"
        outs[processes] = train(out, processes), seconds_of(out)
    return outs


@pytest.mark.parametrize(("processes", "times"), [(1, 3), (2, 2)])
def test_sigkill_at_random_moments(tmp_path, whole, processes, times):
    expected, seconds = whole[processes]
    chance = random.Random(processes)
    train_killed(tmp_path / "run", [chance.uniform(0.1, 0.7) * seconds for _ in range(times)], processes)
    assert same(outcome(tmp_path / "run"), expected)
    assert not list((tmp_path / "run").glob(".*"))


MOMENTS = [
    (1, "os.mkdir", "checkpoint-8"),
    (1, "open", "checkpoint-8/trainer_state.json"),
    (1, "shutil.rmtree", "checkpoint-2"),
    (1, "os.rename", "checkpoint-8/manifest.json"),
    (2, "os.rename", "checkpoint-8/manifest.json"),
    (1, "os.rename", "best/model.safetensors"),
    (1, "os.rename", "summary.json"),
]


@pytest.mark.parametrize(("processes", "what", "name"), MOMENTS)
def test_sigkill_in_the_middle_of_saving(tmp_path, whole, processes, what, name):
    out = tmp_path / "run"
    group = start(words(out), log_of(out), processes, moment=(what, name, signal.SIGKILL))
    group[0].join()
    kill(group)
    assert group[0].exitcode == -signal.SIGKILL, _log(out)
    assert same(train(out, processes), whole[processes][0])
    assert not list(out.rglob(".*"))


@pytest.mark.parametrize(("processes", "number"), [(1, signal.SIGTERM), (1, signal.SIGINT), (2, signal.SIGTERM)])
def test_a_signal_finishes_the_step_saves_and_exits_with_its_code(tmp_path, whole, processes, number):
    out = tmp_path / "run"
    group = halted(words(out), log_of(out), "checkpoint-4", processes)
    os.kill(group[-1].pid, number)
    assert go_on(group) == [128 + number] * processes
    found = re.search(r"^regdrop: stopped and saved after step (\d+); continue with --resume$", _log(out), re.MULTILINE)
    assert found, _log(out)
    assert RunFolder(out).last_checkpoint() == int(found[1])
    assert same(train(out, processes), whole[processes][0])


def _log(out):
    return log_of(out).read_text()


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2)])
def test_a_run_goes_on_with_another_number_of_processes(tmp_path, whole, before, after):
    """The batch is the same, its parts see other noise: the run ends, and says nothing of being the same."""
    out = tmp_path / "run"
    group = halted(words(out), log_of(out), "checkpoint-4", before)
    group[0].terminate()
    assert go_on(group) == [143] * before
    losses, _, scores = train(out, after)
    assert scores["steps"] == whole[1][0][2]["steps"] == losses[-1]["step"]
    assert "another number of processes" in _log(out)


def test_a_run_that_is_moved_goes_on_as_it_was(tmp_path, whole):
    kill(halted(words(tmp_path / "run"), log_of(tmp_path / "run"), "checkpoint-14"))
    (tmp_path / "run").rename(tmp_path / "moved")
    assert same(train(tmp_path / "moved"), whole[1][0])
