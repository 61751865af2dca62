"""Local tables: one JSON object a line, in files named for the parts of a data set."""

import json
from pathlib import Path
from typing import Any

from regdrop.errors import DataError
from regdrop.tasks.sources.lines import numbered_lines
from regdrop.tasks.sources.rows import Columns, checked_row


def find_part(folder: str, *names: str) -> Path | None:
    """The first of `NAME.jsonl` in a folder, None where there is none.

    Raises:
        DataError: the folder is not there.
    """
    if not Path(folder).is_dir():
        raise DataError(f"no folder {folder}; pass --data.path FOLDER, the one that holds train.jsonl")
    return next((path for name in names if (path := Path(folder) / f"{name}.jsonl").is_file()), None)


def read_jsonl(path: Path, columns: Columns) -> list[dict[str, Any]]:
    """Rows of a file of JSON lines; empty lines are passed over, columns not asked for are dropped.

    Args:
        path: of the file, UTF-8.
        columns: name and type, or types, of each column; see `checked_row`.

    Raises:
        DataError: not there, too large, or not such lines; names the file and the line.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder) / "train.jsonl"
        ...     _ = path.write_text('{"sentence": "good", "label": 1}')
        ...     read_jsonl(path, {"sentence": str, "label": int})
        [{'sentence': 'good', 'label': 1}]
    """
    rows = [checked_row(_parsed(line, place), columns, place) for place, line in numbered_lines(path) if line.strip()]
    if not rows:
        raise DataError(f"{path} holds no rows; it needs one JSON object a line with {', '.join(columns)}")
    return rows


def _parsed(line: bytes, place: str) -> Any:
    try:
        return json.loads(line.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}: is not JSON ({' '.join(str(error).split())[:80]}); correct that line") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")
