"""Killed or asked to stop at any moment, a run comes out the same to the last bit."""

import os
import random
import re
import signal

import pytest

from regdrop.training.folder import RunFolder
from reliability.runs import log_of, outcome, same, seconds_of, steps_made, train, train_killed, words
from reliability.sessions import finish, start, until


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
    kills, _ = train_killed(tmp_path / "run", [chance.uniform(0.1, 0.7) * seconds for _ in range(times)], processes)
    assert kills
    assert same(outcome(tmp_path / "run"), expected)
    assert not list((tmp_path / "run").glob(".*"))


@pytest.mark.parametrize(("processes", "number"), [(1, signal.SIGTERM), (1, signal.SIGINT), (2, signal.SIGTERM)])
def test_a_signal_finishes_the_step_saves_and_exits_with_its_code(tmp_path, whole, processes, number):
    out = tmp_path / "run"
    group = start(words(out), log_of(out), processes)
    until(lambda: steps_made(out) >= 4, group)
    group[-1].terminate() if number == signal.SIGTERM else _interrupt(group[-1])
    assert finish(group) == [128 + number] * processes
    found = re.search(r"^regdrop: stopped and saved after step (\d+); continue with --resume$", _log(out), re.MULTILINE)
    assert found, _log(out)
    assert RunFolder(out).last_checkpoint() == int(found[1])
    assert same(train(out, processes), whole[processes][0])


def _interrupt(process):
    os.kill(process.pid, signal.SIGINT)


def _log(out):
    return log_of(out).read_text()


def test_a_run_goes_on_with_another_number_of_processes(tmp_path, whole):
    """The batch is the same, its parts see other noise: the run ends, and says nothing of being the same."""
    out = tmp_path / "run"
    group = start(words(out), log_of(out), 2)
    until(lambda: steps_made(out) >= 4, group)
    group[0].terminate()
    assert finish(group) == [143, 143]
    losses, _, scores = train(out, 1)
    assert scores["steps"] == whole[1][0][2]["steps"] == losses[-1]["step"]
    assert "another number of processes" in _log(out)
