"""Independent runs of a study: each has its own folder, is never repeated once finished, and may fail alone."""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from regdrop.errors import NonFiniteError, NoNoiseError, UnsupportedError
from regdrop.studies.metrics import metric, metric_order
from regdrop.training.recipe import Recipe
from regdrop.training.run import train


@dataclass(frozen=True, slots=True)
class Job:
    """One run to make: the arm it belongs to, the arm's recipe, its seed and its folder."""

    arm: str
    recipe: Recipe
    seed: int
    folder: Path


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended.

    Attributes:
        seed: of the run.
        metrics: of its best weights on the test part, and `seconds`, the time spent training; empty where it failed.
        failure: why there is nothing to average, None where there is.
    """

    seed: int
    metrics: dict[str, float]
    failure: str | None = None


def run_folder(out: Path, arm: str, seed: int) -> Path:
    """Where a study keeps the run of an arm and a seed."""
    return out / "runs" / arm / f"seed-{seed}"


def run_jobs(jobs: Sequence[Job], *, progress: bool = True) -> list[Outcome]:
    """Make the runs that are not finished, one after another; read those that are.

    A run that meets NaN, or that memory, disk or device let down, becomes an `Outcome` with its failure, and the next
    run starts; asked again, it is tried again. What would stop every run alike, such as a model without dropout, is
    raised at once.

    Args:
        jobs: in the order to run them.
        progress: show one bar for all runs and one for the current run on standard error.

    Returns:
        One outcome a job, in the order of the jobs.

    Raises:
        RecipeError: a folder holds a run of another recipe or seed.
        DataError: the data is missing.
        NoNoiseError: R-Drop is on, but the model has no active dropout.
    """
    outcomes = []
    with tqdm(jobs, unit="run", disable=not progress) as bar:
        for job in bar:
            bar.set_description(f"{job.arm}, seed {job.seed}")
            outcomes.append(_run(job, progress))
            if progress:
                bar.write(f"{job.arm}, seed {job.seed}: {_words(outcomes[-1])}", file=sys.stderr)
    return outcomes


def _run(job: Job, progress: bool) -> Outcome:
    try:
        summary = train(job.recipe, job.folder, seed=job.seed, resume=True, progress=progress)
    except (NoNoiseError, UnsupportedError):
        raise
    except (NonFiniteError, RuntimeError, OSError) as error:
        return Outcome(job.seed, {}, f"{type(error).__name__}: {error}")
    wrong = [f"its test {key} is {value}" for key, value in summary.test.items() if not math.isfinite(value)]
    metrics = {} if wrong else {**summary.test, "seconds": summary.seconds}
    return Outcome(job.seed, metrics, "; ".join(wrong) or None)


def _words(outcome: Outcome) -> str:
    shown = (f"{metric(key).title} {metric(key).show(outcome.metrics[key])}" for key in metric_order(outcome.metrics))
    return f"failed ({outcome.failure})" if outcome.failure else f"test {', '.join(shown)}"
