"""Curves over a run, read from its records: what is drawn, before anything is drawn."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from regdrop.reports.records import EvaluationRecord, RunRecords, StepRecord
from regdrop.studies.metrics import LOSS, metric

Clock = Literal["step", "seconds"]
Numbers = NDArray[np.float64]
# A running mean over this share of a run shows the trend of a loss that batches make noisy.
SMOOTHING = 1 / 25


@dataclass(frozen=True, slots=True)
class ArmRecords:
    """The records of one arm: its label, the passes that each of its steps makes, and one run a seed."""

    label: str
    passes: int
    runs: tuple[RunRecords, ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """One quantity over one run: at which steps, at which times of the chosen clock, and its values there."""

    steps: Numbers
    times: Numbers
    values: Numbers


@dataclass(frozen=True, slots=True)
class Quantity:
    """Something that changes over a run: how people call it, and how a run's records tell it."""

    title: str
    axis: str
    logarithmic: bool
    read: Callable[[ArmRecords, RunRecords, Clock], Curve]

    def curves(self, arm: ArmRecords, clock: Clock) -> list[Curve]:
        """One curve a run of the arm; runs that did not record the quantity are left out."""
        curves = [self.read(arm, run, clock) for run in arm.runs]
        return [curve for curve in curves if len(curve.steps)]


def validation(key: str) -> Quantity:
    """A metric on the validation part, in the unit that people read it in."""
    shown = metric(key)

    def read(_: ArmRecords, run: RunRecords, clock: Clock) -> Curve:
        records = [record for record in run.evaluations if key in record.metrics]
        return _curve(records, clock, [record.metrics[key] * shown.scale for record in records])

    return Quantity(f"Validation {shown.name}", shown.title, shown is LOSS, read)


def _task_loss(arm: ArmRecords, run: RunRecords, clock: Clock) -> Curve:
    """Of one pass: a step that `every` leaves plain counts its one pass as often as the other steps make passes."""
    return _curve(run.steps, clock, _smooth([record.task_loss / arm.passes for record in run.steps]))


def _kl(_: ArmRecords, run: RunRecords, clock: Clock) -> Curve:
    records = [record for record in run.steps if record.kl is not None]
    return _curve(records, clock, _smooth([record.kl for record in records if record.kl is not None]))


def _learning_rate(_: ArmRecords, run: RunRecords, clock: Clock) -> Curve:
    return _curve(run.steps, clock, [record.lr for record in run.steps])


TASK_LOSS = Quantity("Training task loss of a pass", "loss (nats)", True, _task_loss)
KL = Quantity("KL between the passes", "KL (nats)", False, _kl)
LEARNING_RATE = Quantity("Learning rate", "learning rate", False, _learning_rate)


def band(curves: Sequence[Curve]) -> tuple[Curve, Numbers]:
    """Mean of several runs and their standard deviation, step by step.

    Runs are averaged at equal steps on either clock, values and times alike: seconds never agree between runs.

    Args:
        curves: at least one; only steps that all of them have are kept.

    Returns:
        The mean curve and the sample standard deviation of the values (zeros for one run).

    Example:
        >>> one, two = (Curve(np.arange(2.0), np.array([0.0, t]), np.array([1.0, v])) for t, v in [(2, 3), (4, 5)])
        >>> mean, sd = band([one, two])
        >>> mean.times.tolist(), mean.values.tolist(), sd.round(3).tolist()
        ([0.0, 3.0], [1.0, 4.0], [0.0, 1.414])
    """
    steps = reduce(np.intersect1d, [curve.steps for curve in curves])
    common = [np.isin(curve.steps, steps) for curve in curves]
    times = np.stack([curve.times[kept] for curve, kept in zip(curves, common, strict=True)])
    values = np.stack([curve.values[kept] for curve, kept in zip(curves, common, strict=True)])
    sd = values.std(axis=0, ddof=1) if len(curves) > 1 else np.zeros_like(steps)
    return Curve(steps, times.mean(axis=0), values.mean(axis=0)), sd


def evenly(count: int, most: int) -> NDArray[np.intp]:
    """Places of at most so many of `count` points, evenly spaced, the first and the last among them.

    Example:
        >>> evenly(9, 3).tolist(), evenly(2, 3).tolist()
        ([0, 4, 8], [0, 1])
    """
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.intp))


def _curve(records: Sequence[StepRecord | EvaluationRecord], clock: Clock, values: Sequence[float] | Numbers) -> Curve:
    steps = np.asarray([record.step for record in records], dtype=np.float64)
    times = np.asarray([getattr(record, clock) for record in records], dtype=np.float64)
    return Curve(steps, times, np.asarray(values, dtype=np.float64))


def _smooth(values: Sequence[float]) -> Numbers:
    """Running mean over the trailing window, so that no point looks into the future."""
    window = max(1, round(len(values) * SMOOTHING))
    sums = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(0, ends - window)
    means: Numbers = (sums[ends] - sums[starts]) / (ends - starts)
    return means
