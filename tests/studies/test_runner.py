"""Runs: finished runs stay, failures are kept and isolated, other recipes are refused."""

import dataclasses
import threading
import time

import pytest

from regdrop.errors import NoNoiseError, RecipeError
from regdrop.studies import runner
from regdrop.studies.jobs import Job, JobState, claim, note_state, run_folder
from regdrop.studies.runner import run_jobs
from regdrop.training.run import train
from regdrop.training.summary import RunSummary
from tiny import tiny_recipe


def job(out, recipe, seed=0, arm="arm"):
    return Job(arm, recipe, seed, run_folder(out, arm, seed))


def test_outcomes_are_the_test_metrics_and_seconds_of_the_summaries(tmp_path):
    jobs = [job(tmp_path, tiny_recipe(), seed) for seed in (3, 1)]
    outcomes = run_jobs(jobs, progress=False)
    assert [outcome.seed for outcome in outcomes] == [3, 1]
    for one, outcome in zip(jobs, outcomes, strict=True):
        summary = RunSummary.from_json((one.folder / "summary.json").read_text())
        assert outcome.metrics == {**summary.test, "seconds": summary.seconds, "peak_bytes": summary.peak_bytes}
        assert outcome.failure is None


def test_a_finished_run_is_read_and_not_repeated(tmp_path):
    jobs = [job(tmp_path, tiny_recipe())]
    first = run_jobs(jobs, progress=False)
    before = {path: path.stat().st_mtime_ns for path in jobs[0].folder.rglob("*")}
    assert run_jobs(jobs, progress=False) == first
    assert {path: path.stat().st_mtime_ns for path in jobs[0].folder.rglob("*")} == before


def test_a_finished_run_keeps_its_best_weights_and_no_checkpoint_to_continue_from(tmp_path):
    one = job(tmp_path, tiny_recipe())
    train(one.recipe, one.folder, seed=one.seed, progress=False)
    assert list(one.folder.glob("checkpoint-*"))  # as if killed after its summary
    for folder in (one, job(tmp_path, tiny_recipe(), seed=1)):
        run_jobs([folder], progress=False)
        assert not list(folder.folder.glob("checkpoint-*"))
        assert (folder.folder / "best" / "model.safetensors").is_file()


def test_a_run_that_meets_nan_is_recorded_and_the_next_one_starts(tmp_path, capsys):
    broken = tiny_recipe(train__learning_rate=1e30)
    jobs = [job(tmp_path, broken, arm="broken"), job(tmp_path, tiny_recipe(), arm="sound")]
    failed, finished = run_jobs(jobs)
    assert failed.metrics == {}
    assert failed.failure.startswith("NonFiniteError: ")
    assert "step" in failed.failure
    assert finished.failure is None
    told = capsys.readouterr().err
    assert f"broken, seed 0: failed ({failed.failure})" in told
    accuracy, ece = (f"{100 * finished.metrics[key]:.2f}" for key in ("accuracy", "ece"))
    assert f"sound, seed 0: test accuracy (%) {accuracy}, calibration error (%) {ece}, loss (nats)" in told


def test_the_disk_may_fail_one_run_alone(tmp_path):
    jobs = [job(tmp_path, tiny_recipe(), arm=arm) for arm in ("blocked", "free")]
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "blocked").write_text("a file where the folder should be")
    blocked, free = run_jobs(jobs, progress=False)
    assert blocked.failure.startswith(("FileExistsError", "NotADirectoryError"))
    assert free.failure is None


def test_a_folder_of_another_recipe_is_refused(tmp_path):
    first = job(tmp_path, tiny_recipe())
    run_jobs([first], progress=False)
    with pytest.raises(RecipeError, match="another --out"):
        run_jobs([dataclasses.replace(first, recipe=tiny_recipe(train__steps=7))], progress=False)


def test_what_would_stop_every_run_is_raised_at_once(tmp_path):
    with pytest.raises(NoNoiseError):
        run_jobs([job(tmp_path, tiny_recipe(model__dropout=0.0))], progress=False)


def test_a_failed_run_is_tried_again_when_asked_again(tmp_path):
    one = job(tmp_path, tiny_recipe())
    one.folder.mkdir(parents=True)
    (one.folder / "records.jsonl").mkdir()  # training cannot write here
    (one.folder / "recipe.yaml").write_text(f"# regdrop train recipe.yaml --seed 0\n{one.recipe.to_yaml()}")
    (failed,) = run_jobs([one], progress=False)
    assert failed.failure.startswith("IsADirectoryError")
    (one.folder / "records.jsonl").rmdir()
    (finished,) = run_jobs([one], progress=False)
    assert finished.failure is None
    assert [path.name for path in one.folder.parent.iterdir() if "state" in path.name] == []


def test_a_run_held_by_another_process_is_waited_for(tmp_path, monkeypatch):
    one = job(tmp_path, tiny_recipe())
    with claim(one):
        monkeypatch.setattr(runner, "PAUSE", 0.01)
        holder = threading.Thread(target=lambda: outcomes.extend(run_jobs([one], progress=False)))
        outcomes = []
        holder.start()
        time.sleep(0.3)
        assert not outcomes
        train(one.recipe, one.folder, seed=0, progress=False)
        written = (one.folder / "summary.json").stat().st_mtime_ns
    holder.join(timeout=60)
    assert outcomes[0].metrics["accuracy"] > 0
    assert (one.folder / "summary.json").stat().st_mtime_ns == written


def test_a_run_whose_process_died_too_often_is_a_failure_until_asked_again(tmp_path):
    one = job(tmp_path, tiny_recipe())
    one.folder.parent.mkdir(parents=True)
    note_state(one, JobState(runner.MOST_BEGINNINGS))
    ((_, outcome),) = runner.settle([one], 0.0, False)
    assert outcome.failure == "its process died 5 times; memory may be short, or another program ended it"
    ((_, again),) = runner.settle([one], 0.0, False)
    assert again == outcome
    assert run_jobs([one], progress=False)[0].failure is None
