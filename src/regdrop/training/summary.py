"""What a finished run comes to: one small JSON object."""

import json
import math
import platform
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from typing import Any

from regdrop.errors import DataError

PACKAGES = ("regdrop", "torch", "transformers", "timm")


@dataclass(frozen=True, slots=True)
class RunSummary:
    """The outcome of a finished run.

    Attributes:
        recipe: its name.
        seed: of everything random.
        rdrop: the recipe's `rdrop` section.
        steps: optimiser steps made.
        best_step: the step whose weights did best on the validation part.
        validation: metrics of these weights on the validation part.
        test: their metrics on the test part, which was read this once.
        signatures: how the metrics are computed that tools disagree about.
        seconds: spent training, with the evaluations in between, over all sessions of the run.
        versions: of Python and the packages that decide the numbers.
        peak_bytes: the most memory held at once while training, evaluations in between included, in the last session of
            the run and its main process: what of the process is resident, or with CUDA what tensors hold on its
            device; None where the system does not tell, where that session made no step, and in summaries from before
            it was measured.
        finished: always true; the file is written when all is done.
    """

    recipe: str
    seed: int
    rdrop: dict[str, Any]
    steps: int
    best_step: int
    validation: dict[str, float]
    test: dict[str, float]
    signatures: dict[str, str]
    seconds: float
    versions: dict[str, str]
    peak_bytes: int | None = None
    finished: bool = True

    def to_json(self) -> str:
        """The summary as a JSON object over several lines."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "RunSummary":
        """Read what `to_json` wrote.

        Raises:
            DataError: the text is not such an object.
        """
        try:
            values = json.loads(text)
            read = cls(**{field.name: values[field.name] for field in fields(cls) if field.name in values})
            _check_numbers(read)
            return read
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise DataError(f"not the summary of a finished run ({error!r}); train again") from error


def _check_numbers(summary: RunSummary) -> None:
    """Raise what `math` does where a number is none; NaN and infinity are such."""
    own = (summary.seed, summary.steps, summary.best_step, summary.seconds)
    for value in (*own, *summary.validation.values(), *summary.test.values()):
        math.isnan(value)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide the numbers.

    Example:
        >>> sorted(versions())
        ['python', 'regdrop', 'timm', 'torch', 'transformers']
    """
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
