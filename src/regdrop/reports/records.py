"""What a run wrote while it trained, read back as typed records; a damaged line is an error that names it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regdrop.errors import DataError

RECORDS = "records.jsonl"
EVALUATION = "eval_"
LONGEST_LINE = 65_536


@dataclass(frozen=True)
class StepRecord:
    """One optimiser step: seconds since the start, losses in nats, learning rate; `kl` is None without R-Drop."""

    step: int
    seconds: float
    loss: float
    task_loss: float
    kl: float | None
    lr: float


@dataclass(frozen=True)
class EvaluationRecord:
    """One evaluation on the validation part: metric name (without `eval_`) -> value."""

    step: int
    seconds: float
    metrics: dict[str, float]


@dataclass(frozen=True)
class RunRecords:
    """All records of a run, in the order of its steps."""

    steps: tuple[StepRecord, ...]
    evaluations: tuple[EvaluationRecord, ...]


def read_records(folder: Path) -> RunRecords:
    """Read `records.jsonl` of a run folder.

    Args:
        folder: a run folder as training writes it, one JSON object a line.

    Raises:
        DataError: no such file, or a line that is cut off, too long, not an object, or has a field missing or not a
            number; the text names file and line.
    """
    path = folder / RECORDS
    steps: list[StepRecord] = []
    evaluations: list[EvaluationRecord] = []
    for place, record in _objects(path):
        if any(key.startswith(EVALUATION) for key in record):
            evaluations.append(_evaluation(record, place))
        else:
            steps.append(_step(record, place))
    return RunRecords(tuple(steps), tuple(evaluations))


def _objects(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE), b""), start=1):
                place = f"{path}, line {number}"
                yield place, _object(line, place)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); expected the folder of a run") from error


def _object(line: bytes, place: str) -> dict[str, Any]:
    if not line.endswith(b"\n"):
        raise DataError(f"{place}: cut off or longer than {LONGEST_LINE} bytes; resume or repeat the run")
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}: expected one JSON object but got {line[:40]!r}; repeat the run") from error
    if not isinstance(record, dict):
        raise DataError(f"{place}: expected one JSON object but got {line[:40]!r}; repeat the run")
    return record


def _step(record: dict[str, Any], place: str) -> StepRecord:
    kl = None if record.get("kl") is None else _number(record, "kl", place)
    loss, task_loss, lr = (_number(record, key, place) for key in ("loss", "task_loss", "lr"))
    return StepRecord(_count(record, place), _number(record, "seconds", place), loss, task_loss, kl, lr)


def _evaluation(record: dict[str, Any], place: str) -> EvaluationRecord:
    metrics = {
        key.removeprefix(EVALUATION): _number(record, key, place) for key in record if key.startswith(EVALUATION)
    }
    return EvaluationRecord(_count(record, place), _number(record, "seconds", place), metrics)


def _count(record: dict[str, Any], place: str) -> int:
    step = _number(record, "step", place)
    if not step.is_integer() or step < 0:
        raise DataError(f"{place}: expected a whole number of steps but got {record['step']!r}; repeat the run")
    return int(step)


def _number(record: dict[str, Any], key: str, place: str) -> float:
    value = record.get(key)
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    except OverflowError:
        pass
    raise DataError(f"{place}: expected a number for {key!r} but got {str(value)[:40]!r}; repeat the run")
