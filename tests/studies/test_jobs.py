"""Locks, notes and outcomes of single jobs."""

import dataclasses
import os
import signal
import subprocess
import sys
import time

import pytest

from regdrop.errors import DataError
from regdrop.studies.jobs import Job, JobState, Outcome, claim, note_state, outcome_of, read_state, run_folder
from regdrop.training.summary import RunSummary
from tiny import tiny_recipe

HOLDER = """
import sys, time
from filelock import FileLock
lock = FileLock(sys.argv[1])
lock.acquire()
print("held", flush=True)
time.sleep(60)
"""
SUMMARY = RunSummary(
    recipe="tiny",
    seed=3,
    rdrop={},
    steps=6,
    best_step=3,
    validation={"accuracy": 0.5},
    test={"accuracy": 0.4, "loss": 1.0},
    signatures={},
    seconds=2.0,
    versions={},
)


@pytest.fixture
def job(tmp_path):
    return Job("arm", tiny_recipe(), 3, run_folder(tmp_path, "arm", 3))


def test_a_job_is_claimed_once_and_again_after_its_holder_was_killed(job):
    with claim(job) as mine:
        assert mine
    lock = job.folder.with_name("seed-3.lock")
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(lock)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with claim(job) as mine:
        assert not mine
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    with claim(job) as mine:
        assert mine


def test_notes_are_found_until_they_are_taken_away(job):
    job.folder.parent.mkdir(parents=True)
    assert read_state(job, 0.0) == JobState()
    for state in (JobState(2), JobState(failure="RuntimeError: no")):
        note_state(job, state)
        assert read_state(job, 0.0) == state
    note_state(job, None)
    note_state(job, None)
    assert read_state(job, 0.0) == JobState()


def test_notes_older_than_the_study_do_not_count(job):
    job.folder.parent.mkdir(parents=True)
    note_state(job, JobState(failure="RuntimeError: no"))
    note = next(job.folder.parent.glob("*.json"))
    os.utime(note, (100, 100))
    assert read_state(job, 100.0).failure
    assert read_state(job, 100.5) == JobState()
    assert read_state(job, time.time()) == JobState()


def test_a_damaged_note_is_an_error_that_names_it(job):
    job.folder.parent.mkdir(parents=True)
    note_state(job, JobState(1))
    note = next(job.folder.parent.glob("*.json"))
    note.write_text("{")
    with pytest.raises(DataError, match=r"seed-3\.state\.json is not JSON"):
        read_state(job, 0.0)


def test_an_outcome_keeps_test_and_validation_apart():
    assert outcome_of(SUMMARY) == Outcome(3, {"accuracy": 0.4, "loss": 1.0, "seconds": 2.0}, None, {"accuracy": 0.5})


def test_the_peak_of_memory_is_a_cost_where_it_is_known():
    assert outcome_of(dataclasses.replace(SUMMARY, peak_bytes=70)).metrics["peak_bytes"] == 70


def test_what_was_measured_aside_of_the_validation_part_is_among_the_metrics():
    watched = dataclasses.replace(SUMMARY, validation={"accuracy": 0.5, "submodel_kl": 0.1})
    assert outcome_of(watched).metrics["submodel_kl"] == 0.1


def test_a_metric_that_is_not_finite_is_a_failure():
    broken = dataclasses.replace(SUMMARY, test={"accuracy": float("nan")})
    assert outcome_of(broken) == Outcome(3, {}, "its test accuracy is nan")
