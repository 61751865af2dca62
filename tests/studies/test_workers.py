"""Several real processes share runs: the result is that of one, whoever is killed, and nothing is made twice."""

import json
import multiprocessing
import os
import random
import signal
import threading
import time

import pytest

from regdrop.errors import NoNoiseError, RDropError
from regdrop.studies import workers
from regdrop.studies.jobs import Job, run_folder
from regdrop.studies.runner import run_jobs
from tiny import tiny_recipe

COUNT = 5
KILLS = 2


def jobs_in(out, **changes):
    recipe = tiny_recipe(train__steps=30, train__eval_every=3, **changes)
    return [Job("arm", recipe, seed, run_folder(out, "arm", seed)) for seed in range(COUNT)]


def scores(outcomes):
    return [(one.seed, one.failure, one.metrics.get("accuracy"), one.metrics.get("loss")) for one in outcomes]


def steps_recorded(job):
    records = [json.loads(line) for line in (job.folder / "records.jsonl").read_text().splitlines()]
    return [record["step"] for record in records if "loss" in record]


def under_way(out):
    return [path for path in out.rglob("checkpoint-*") if not (path.parent / "summary.json").exists()]


def kill_workers(out, killed, done):
    """SIGKILL a worker when a run is under way, a few times, at moments that nobody chose."""
    draw = random.Random(time.time_ns())
    while len(killed) < KILLS and not done.is_set():
        if under_way(out):
            time.sleep(draw.uniform(0, 0.3))
            child = draw.choice(multiprocessing.active_children())
            os.kill(child.pid, signal.SIGKILL)
            killed.append(child.pid)
            time.sleep(0.5)
        time.sleep(0.01)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return run_jobs(jobs_in(tmp_path_factory.mktemp("alone")), progress=False)


@pytest.mark.slow
def test_workers_give_the_result_of_one_process_though_they_are_killed(alone, tmp_path):
    jobs, killed, done = jobs_in(tmp_path), [], threading.Event()
    killer = threading.Thread(target=kill_workers, args=(tmp_path, killed, done))
    killer.start()
    outcomes = run_jobs(jobs, workers=2, progress=False)
    done.set()
    killer.join()
    assert len(killed) == KILLS
    assert scores(outcomes) == scores(alone)
    assert all(steps_recorded(job) == list(range(1, 31)) for job in jobs)
    assert not multiprocessing.active_children()
    assert not list(tmp_path.rglob("*.state.json"))


def test_what_would_stop_every_run_is_raised_here(tmp_path):
    with pytest.raises(NoNoiseError, match="dropout"):
        run_jobs(jobs_in(tmp_path, model__dropout=0.0)[:1], workers=2, progress=False)
    assert not multiprocessing.active_children()


def die(jobs, asked, progress):
    os.kill(os.getpid(), signal.SIGKILL)


def test_workers_that_only_die_are_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "MOST_DEATHS", 0)
    with pytest.raises(RDropError, match="worker processes died 1 times in a row, the last with exit code -9"):
        list(workers.share(die, jobs_in(tmp_path)[:1], 0.0, 1))
