"""One row of a table from elsewhere, its columns checked."""

import math
from collections.abc import Mapping
from typing import Any

from regdrop.errors import DataError

Columns = Mapping[str, type | tuple[type, ...]]
SHOWN = 40  # characters of a wrong value that an error repeats


class MissingColumnError(DataError):
    """A row lacks a column that was asked for."""


def checked_row(row: Any, columns: Columns, place: str) -> dict[str, Any]:
    """The wanted columns of a row; others are dropped.

    Args:
        row: what was read.
        columns: names and exact types (True is no int); text must be valid Unicode, numbers finite.
        place: what errors call the row, such as file and line.

    Raises:
        MissingColumnError: a column is missing.
        DataError: no mapping, or a value of another type.

    Example:
        >>> checked_row({"sentence": "good", "label": 1, "idx": 7}, {"sentence": str, "label": int}, "line 1")
        {'sentence': 'good', 'label': 1}
    """
    if not isinstance(row, Mapping):
        raise DataError(f"{place}: expected an object with {', '.join(columns)}, but got {str(row)[:SHOWN]!r}")
    missing = [name for name in columns if name not in row]
    if missing:
        raise MissingColumnError(f"{place}: has no {missing[0]!r}; each row needs {', '.join(columns)}")
    for name, kinds in columns.items():
        _check_value(row[name], kinds if isinstance(kinds, tuple) else (kinds,), f"{place}: {name}")
    return {name: row[name] for name in columns}


def _check_value(value: Any, kinds: tuple[type, ...], place: str) -> None:
    if type(value) not in kinds:
        wanted = " or ".join(kind.__name__ for kind in kinds)
        raise DataError(f"{place} is {str(value)[:SHOWN]!r}, a {type(value).__name__}, but must be {wanted}")
    if isinstance(value, float) and not math.isfinite(value):
        raise DataError(f"{place} is {value}, but must be a finite number")
    if isinstance(value, str) and not is_unicode(value):
        raise DataError(f"{place} holds half a character (a lone surrogate); write the text anew as UTF-8")


def is_unicode(text: str) -> bool:
    r"""Whether a text can be written as UTF-8; JSON may hold half a character.

    Example:
        >>> is_unicode("\U0001f600"), is_unicode("\ud83d")
        (True, False)
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
