"""Curves over a run, read from its records: what is drawn, before anything is drawn."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from regdrop.reports.records import RunRecords
from regdrop.studies.metrics import LOSS, metric

Clock = Literal["step", "seconds"]
Curve = tuple[NDArray[np.float64], NDArray[np.float64]]
# A running mean over this share of a run shows the trend of a loss that batches make noisy.
SMOOTHING = 1 / 25


@dataclass(frozen=True)
class ArmRecords:
    """The records of one arm: its label, the passes that each of its steps makes, and one run a seed."""

    label: str
    passes: int
    runs: tuple[RunRecords, ...]


@dataclass(frozen=True)
class Quantity:
    """Something that changes over a run: how people call it, and its curve in the records of a run."""

    title: str
    axis: str
    logarithmic: bool
    read: Callable[[ArmRecords, RunRecords, Clock], Curve]

    def curves(self, arm: ArmRecords, clock: Clock) -> list[Curve]:
        """One curve a run of the arm; runs that did not record the quantity are left out."""
        curves = [self.read(arm, run, clock) for run in arm.runs]
        return [curve for curve in curves if len(curve[0])]


def validation(key: str) -> Quantity:
    """A metric on the validation part, in the unit that people read it in."""
    shown = metric(key)

    def read(_: ArmRecords, run: RunRecords, clock: Clock) -> Curve:
        records = [record for record in run.evaluations if key in record.metrics]
        return _curve([getattr(r, clock) for r in records], [r.metrics[key] * shown.scale for r in records])

    return Quantity(f"Validation {shown.name}", shown.title, shown is LOSS, read)


def _task_loss(arm: ArmRecords, run: RunRecords, clock: Clock) -> Curve:
    values = [record.task_loss / arm.passes for record in run.steps]
    return _smooth(_curve([getattr(record, clock) for record in run.steps], values))


def _kl(_: ArmRecords, run: RunRecords, clock: Clock) -> Curve:
    pairs = [(getattr(record, clock), record.kl) for record in run.steps if record.kl is not None]
    return _smooth(_curve([time for time, _ in pairs], [kl for _, kl in pairs]))


TASK_LOSS = Quantity("Training task loss of a pass", "loss (nats)", True, _task_loss)
KL = Quantity("KL between the passes", "KL (nats)", True, _kl)


def band(curves: Sequence[Curve]) -> tuple[Curve, NDArray[np.float64]]:
    """Mean curve of several runs and its standard deviation, over the stretch that all of them cover.

    Runs whose clocks differ (seconds never agree) are interpolated linearly onto the points of the first run.

    Args:
        curves: at least one `(x, y)` with x increasing.

    Returns:
        The mean curve and the sample standard deviation at its points (zeros for one run).

    Example:
        >>> x = np.array([0.0, 2.0])
        >>> (x, y), sd = band([(x, np.array([0.0, 2.0])), (x, np.array([2.0, 2.0]))])
        >>> y.tolist(), sd.round(3).tolist()
        ([1.0, 2.0], [1.414, 0.0])
    """
    start, end = max(x[0] for x, _ in curves), min(x[-1] for x, _ in curves)
    first = curves[0][0]
    grid = np.unique(np.concatenate([[start], first[(first > start) & (first < end)], [end]]))
    values = np.stack([np.interp(grid, x, y) for x, y in curves])
    sd = values.std(axis=0, ddof=1) if len(curves) > 1 else np.zeros_like(grid)
    return (grid, values.mean(axis=0)), sd


def _curve(x: Sequence[float], y: Sequence[float]) -> Curve:
    return np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)


def _smooth(curve: Curve) -> Curve:
    """Running mean over the trailing window, so that no point looks into the future."""
    x, y = curve
    window = max(1, round(len(y) * SMOOTHING))
    sums = np.concatenate([[0.0], np.cumsum(y)])
    ends = np.arange(1, len(y) + 1)
    starts = np.maximum(0, ends - window)
    return x, (sums[ends] - sums[starts]) / (ends - starts)
