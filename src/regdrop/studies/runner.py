"""Makes the runs of a study: in this process, in several, or on several machines that share its folder."""

import sys
import time
from collections.abc import Iterator, Sequence

from tqdm import tqdm

from regdrop.errors import NonFiniteError, NoNoiseError
from regdrop.studies.jobs import Job, JobState, Outcome, claim, note_state, outcome_of, read_state
from regdrop.studies.metrics import metric, metric_order
from regdrop.studies.workers import share
from regdrop.training.folder import RunFolder
from regdrop.training.run import train

PAUSE = 0.5  # seconds between two looks at the runs that other processes hold
MOST_BEGINNINGS = 5


def run_jobs(jobs: Sequence[Job], *, workers: int = 1, progress: bool = True) -> list[Outcome]:
    """Make the runs that are not finished; read those that are.

    A run is made by whoever holds its lock: this process, one of its `workers`, or the same command on another machine
    that shares the folder; the call returns when all runs are settled. The lock ends with its process, and whoever
    takes a run up continues from its last checkpoint.

    A run that meets NaN, that memory, disk or device let down, or that its arm makes impossible becomes an `Outcome`
    with its failure, and so does one whose processes died five times; asked again, it is tried again. What would stop
    every run alike, such as a model without dropout, is raised at once.

    Args:
        jobs: in the order to run them.
        workers: processes to share them, with as many threads each as makes the usual number together; 1 runs them
            here, one after another. A result does not depend on it, save for what the number of threads does to the
            order of sums.
        progress: show bars on standard error.

    Returns:
        One outcome a job, in the order of the jobs.

    Raises:
        RecipeError: a folder holds a run of another recipe or seed.
        DataError: the data is missing.
        NoNoiseError: R-Drop is on, but the model has no active dropout.
        RDropError: worker processes keep dying before they settle any run.
    """
    asked = time.time()
    outcomes: dict[int, Outcome] = {}
    with tqdm(total=len(jobs), unit="run", disable=not progress) as bar:
        settled = settle(jobs, asked, progress) if workers == 1 else share(settle, jobs, asked, workers)
        for place, outcome in settled:
            outcomes[place] = outcome
            bar.update()
            if progress:
                bar.write(f"{jobs[place].title}: {_words(outcome)}", file=sys.stderr)
    return [outcomes[place] for place in range(len(jobs))]


def settle(jobs: Sequence[Job], asked: float, progress: bool) -> Iterator[tuple[int, Outcome]]:
    """Settle jobs until none is left, waiting for those that other processes hold.

    Args:
        jobs: in the order to run them.
        asked: when the study was asked for, in seconds of the epoch: failures noted earlier are tried again.
        progress: show a bar for the current run.

    Yields:
        The place of a job and its outcome, as they come.
    """
    pending = dict(enumerate(jobs))
    while pending:
        found = False
        for place, job in list(pending.items()):
            outcome = _attempt(job, asked, progress)
            if outcome is not None:
                found = True
                del pending[place]
                yield place, outcome
        if not found:
            time.sleep(PAUSE)


def _attempt(job: Job, asked: float, progress: bool) -> Outcome | None:
    """The outcome of a job; None where another process is at it."""
    try:
        with claim(job) as mine:
            return _settle(job, asked, progress) if mine else None
    except OSError as error:
        return _failed(job, error)


def _settle(job: Job, asked: float, progress: bool) -> Outcome:
    folder = RunFolder(job.folder)
    finished = folder.finished(job.recipe, job.seed, resume=True)
    if finished:
        folder.drop_checkpoints()  # in case it was killed before it did
        note_state(job, None)
        return outcome_of(finished)
    state = read_state(job, asked)
    if state.failure is None and state.begun < MOST_BEGINNINGS:
        note_state(job, JobState(state.begun + 1))
        outcome = _run(job, progress)
    else:
        died = f"its process died {state.begun} times; memory may be short, or another program ended it"
        outcome = Outcome(job.seed, {}, state.failure or died)
    note_state(job, None if outcome.failure is None else JobState(failure=outcome.failure))
    return outcome


def _run(job: Job, progress: bool) -> Outcome:
    try:
        summary = train(job.recipe, job.folder, seed=job.seed, resume=True, progress=progress)
        RunFolder(job.folder).drop_checkpoints()  # of a study they fill disks
        return outcome_of(summary)
    except NoNoiseError:
        raise
    except (NonFiniteError, RuntimeError, OSError) as error:
        return _failed(job, error)


def _failed(job: Job, error: Exception) -> Outcome:
    return Outcome(job.seed, {}, f"{type(error).__name__}: {error}")


def _words(outcome: Outcome) -> str:
    shown = (f"{metric(key).title} {metric(key).show(outcome.metrics[key])}" for key in metric_order(outcome.metrics))
    return f"failed ({outcome.failure})" if outcome.failure else f"test {', '.join(shown)}"
