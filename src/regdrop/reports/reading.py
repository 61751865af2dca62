"""Outcomes read back from the folders they were written to; a damaged file is an error that names it."""

from pathlib import Path
from typing import Any

from regdrop.diagnostics.record import DIAGNOSIS, DiagnosisRecord
from regdrop.errors import DataError
from regdrop.training.summary import RunSummary
from regdrop.training.typed import read_typed

SUMMARY = "summary.json"
MAX_BYTES = 10_000_000
# What a page needs of the `rdrop` section: types and range.
_RDROP: tuple[tuple[str, tuple[type, ...], float, float], ...] = (
    ("enabled", (bool,), 0, 1),
    ("alpha", (int, float), 0, 1e9),
    ("passes", (int,), 1, 64),
)


def read_diagnosis(folder: Path) -> DiagnosisRecord:
    """The diagnosis in a folder.

    Raises:
        DataError: missing, too large, or not a diagnosis; the text names file and key.
    """
    found = read_typed(DiagnosisRecord, _text(folder / DIAGNOSIS), str(folder / DIAGNOSIS))
    counts = [part.items for part in found.diagnosis.calibration.bins]
    if sum(counts) < 1 or min(counts) < 0 or found.diagnosis.items < 1:
        raise DataError(f"{folder / DIAGNOSIS} is of no items; diagnose again")
    return found


def read_summary(folder: Path) -> RunSummary:
    """The summary of the finished run in a folder.

    Raises:
        DataError: missing, too large, or not a summary; the text names file and key.
    """
    summary = read_typed(RunSummary, _text(folder / SUMMARY), str(folder / SUMMARY))
    for key, kinds, least, most in _RDROP:
        value: Any = summary.rdrop.get(key)
        if type(value) not in kinds or not least <= value <= most:
            raise DataError(f"{folder / SUMMARY}: rdrop has no fitting {key!r}; train again")
    return summary


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); expected what regdrop wrote") from error
    if len(content) > MAX_BYTES:
        raise DataError(f"{path} is longer than {MAX_BYTES:,} bytes; expected what regdrop wrote")
    return content.decode("utf-8", errors="replace")
