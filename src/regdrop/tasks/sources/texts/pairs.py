"""Pairs of texts in three parts: a local folder of JSON lines, or a data set of the hub."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from regdrop.errors import DataError
from regdrop.tasks.sources.hub import load_hub
from regdrop.tasks.sources.jsonl import find_part, read_jsonl
from regdrop.tasks.sources.rows import Columns, MissingColumnError, checked_row
from regdrop.tasks.tokens.pairs import TextPairs

PARTS = {"train": ("train",), "validation": ("validation", "valid"), "test": ("test", "test_2016")}
BOTH = "translation"  # the column that holds the texts of both languages, where there is such a one


class Part(NamedTuple):
    """One part of a data set: what errors call it, and how its rows are read."""

    title: str
    read: Callable[[Columns], list[dict[str, Any]]]


def read_pairs(
    path: str | None, name: str | None, config: str | None, source: str, target: str
) -> tuple[TextPairs, TextPairs, TextPairs]:
    """The training, validation and test part of a data set of text pairs.

    A row has the two texts in columns of their own, or both in one called `translation`.

    Args:
        path: folder of train.jsonl, validation.jsonl and test.jsonl; None: of the hub.
        name: of the data set on the hub; None: it is not there.
        config: which of the data set's configurations.
        source: what the text to read is called.
        target: what the text to write is called.

    Raises:
        DataError: a part is missing or damaged, or the hub cannot be reached.
    """
    columns = {source: str, target: str}
    train, validation, test = (
        TextPairs([row[source] for row in rows], [row[target] for row in rows])
        for rows in (_rows(part, columns) for part in _parts(path, name, config))
    )
    return train, validation, test


def _parts(path: str | None, name: str | None, config: str | None) -> list[Part]:
    if path is not None:
        return [_local_part(path, part, names) for part, names in PARTS.items()]
    if name is None:
        raise DataError(
            "this recipe's data is not on the hub; pass --data.path FOLDER with train.jsonl, validation.jsonl and "
            "test.jsonl in it"
        )
    return [Part(f"{name}, {part}", partial(load_hub, name, config, part)) for part in PARTS]


def _local_part(folder: str, part: str, names: tuple[str, ...]) -> Part:
    path = find_part(folder, *names)
    if path is None:
        raise DataError(f"{folder} has no {part}.jsonl; --data.path needs train, validation and test.jsonl in it")
    return Part(str(path), partial(read_jsonl, path))


def _rows(part: Part, columns: Columns) -> list[dict[str, Any]]:
    try:
        return part.read(columns)
    except MissingColumnError as error:
        try:
            nested = part.read({BOTH: dict})
        except MissingColumnError:
            raise error from None
    return [checked_row(row[BOTH], columns, f"{part.title}, row {i + 1}, {BOTH}") for i, row in enumerate(nested)]
