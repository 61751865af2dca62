"""Running text in parts: local files, as WikiText has them among others, or a data set of the hub."""

from collections.abc import Iterable
from pathlib import Path

from regdrop.errors import DataError
from regdrop.tasks.sources.hub import load_hub
from regdrop.tasks.sources.jsonl import read_jsonl
from regdrop.tasks.sources.lines import numbered_lines

Lines = list[str]
NAMES = {"train": ("train",), "validation": ("validation", "valid"), "test": ("test",)}
FILES = ("{}.txt", "wiki.{}.tokens", "wiki.{}.raw", "{}.jsonl")
COLUMNS = {"text": str}


def read_text(folder: str) -> dict[str, Lines]:
    r"""The lines of the parts that a folder holds, of train, validation and test.

    A part is NAME.txt, wiki.NAME.tokens or wiki.NAME.raw, or NAME.jsonl with a column `text`; `valid` may stand for
    `validation`.

    Raises:
        DataError: there is no training part or no other, or a file is damaged; names the file and the line.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "train.txt").write_text("First Citizen:\nSpeak.\n")
        ...     _ = (Path(folder) / "valid.txt").write_text("All:\n")
        ...     read_text(folder)
        {'train': ['First Citizen:', 'Speak.'], 'validation': ['All:']}
    """
    found = {part: path for part in NAMES if (path := _find(folder, part))}
    if "train" not in found or len(found) < 2:
        held = ", ".join(path.name for path in found.values()) or "none of them"
        raise DataError(f"{folder} holds {held}; --data.path needs train.txt and validation.txt or test.txt in it")
    return {part: _read(path) for part, path in found.items()}


def load_text(name: str, config: str | None) -> dict[str, Lines]:
    """The lines of the three parts of a data set of the hub with a column `text`.

    Raises:
        DataError: see `load_hub`.
    """
    return {part: _lines_of(row["text"] for row in load_hub(name, config, part, COLUMNS)) for part in NAMES}


def _find(folder: str, part: str) -> Path | None:
    paths = (Path(folder) / pattern.format(name) for name in NAMES[part] for pattern in FILES)
    return next((path for path in paths if path.is_file()), None)


def _read(path: Path) -> Lines:
    if path.suffix == ".jsonl":
        return _lines_of(row["text"] for row in read_jsonl(path, COLUMNS))
    lines = [_decoded(line, place) for place, line in numbered_lines(path)]
    if not lines:
        raise DataError(f"{path} is empty; fetch it again")
    return lines


def _decoded(line: bytes, place: str) -> str:
    try:
        return line.decode().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{place}: is not UTF-8 ({error.reason} at byte {error.start}); convert the file") from error


def _lines_of(texts: Iterable[str]) -> Lines:
    return [line for text in texts for line in text.removesuffix("\n").split("\n")]
