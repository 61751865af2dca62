"""Jobs: finished runs stay, failures are kept and isolated, other recipes are refused."""

import dataclasses

import pytest

from regdrop.errors import NoNoiseError, RecipeError
from regdrop.studies.jobs import Job, run_folder, run_jobs
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
        assert outcome.metrics == {**summary.test, "seconds": summary.seconds}
        assert outcome.failure is None


def test_a_finished_run_is_read_and_not_repeated(tmp_path):
    jobs = [job(tmp_path, tiny_recipe())]
    first = run_jobs(jobs, progress=False)
    before = {path: path.stat().st_mtime_ns for path in jobs[0].folder.rglob("*")}
    assert run_jobs(jobs, progress=False) == first
    assert {path: path.stat().st_mtime_ns for path in jobs[0].folder.rglob("*")} == before


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
    assert f"sound, seed 0: test accuracy (%) {100 * finished.metrics['accuracy']:.2f}, loss (nats)" in told


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
