"""The runs of a study as independent jobs: where each lies, who may make it, and how it ended."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from json import dumps
from pathlib import Path

from filelock import FileLock, Timeout

from regdrop.studies.metrics import PEAK_BYTES, SECONDS, SUBMODEL_KL
from regdrop.training.folder import write
from regdrop.training.recipe import Recipe
from regdrop.training.summary import RunSummary
from regdrop.training.typed import read_typed


@dataclass(frozen=True, slots=True)
class Job:
    """One run to make: the arm it belongs to, the arm's recipe, its seed and its folder."""

    arm: str
    recipe: Recipe
    seed: int
    folder: Path

    @property
    def title(self) -> str:
        """How people read it."""
        return f"{self.arm}, seed {self.seed}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended.

    Attributes:
        seed: of the run.
        metrics: of its best weights on the test part, their `submodel_kl` where it was measured, and `seconds`, the
            time spent training, and `peak_bytes`, the memory of that where it is known; empty where it failed.
        failure: why there is nothing to average, None where there is.
        validation: metrics of the same weights on the validation part, which chose them.
    """

    seed: int
    metrics: dict[str, float]
    failure: str | None = None
    validation: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobState:
    """What is known of a job that is not finished: how often it was begun, and why it failed where it did."""

    begun: int = 0
    failure: str | None = None


def run_folder(out: Path, arm: str, seed: int) -> Path:
    """Where a study keeps the run of an arm and a seed."""
    return out / "runs" / arm / f"seed-{seed}"


def outcome_of(summary: RunSummary) -> Outcome:
    """The outcome of a finished run; a metric that is not finite makes it a failure."""
    wrong = [f"its test {key} is {value}" for key, value in summary.test.items() if not math.isfinite(value)]
    if wrong:
        return Outcome(summary.seed, {}, "; ".join(wrong))
    aside = {key: value for key, value in summary.validation.items() if key == SUBMODEL_KL.key}
    costs: dict[str, float] = {SECONDS.key: summary.seconds}
    if summary.peak_bytes is not None:
        costs[PEAK_BYTES.key] = summary.peak_bytes
    return Outcome(summary.seed, {**summary.test, **aside, **costs}, validation=summary.validation)


@contextmanager
def claim(job: Job) -> Iterator[bool]:
    """Hold the lock of a job; yields False where another process holds it.

    The operating system's lock on `seed-N.lock` beside the run's folder: it ends with its process, however that ends.
    On a folder that machines share, their file system must carry locks between them, as NFS 4 and Lustre do.

    Raises:
        OSError: the lock's file cannot be made.
    """
    job.folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(job.folder.with_name(f"{job.folder.name}.lock"))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def read_state(job: Job, since: float) -> JobState:
    """What was noted of a job since a time, in seconds of the epoch; older notes do not count.

    Raises:
        DataError: the note is damaged.
    """
    path = _note(job)
    if not path.is_file() or path.stat().st_mtime < since:
        return JobState()
    return read_typed(JobState, path.read_text(encoding="utf-8"), str(path))


def note_state(job: Job, state: JobState | None) -> None:
    """Write a note that other processes find, or take it away."""
    if state is None:
        _note(job).unlink(missing_ok=True)
    else:
        write(_note(job), dumps(asdict(state)))


def _note(job: Job) -> Path:
    return job.folder.with_name(f"{job.folder.name}.state.json")
