"""Lines of a local file of unknown origin, none of them longer than memory allows."""

from collections.abc import Iterator
from pathlib import Path

from regdrop.errors import DataError

MAX_LINE_BYTES = 1 << 22
MAX_LINES = 100_000_000
MAX_FILE_BYTES = 1 << 36


def numbered_lines(path: Path) -> Iterator[tuple[str, bytes]]:
    r"""Each line with its line feed, and what an error calls it: file and number.

    Raises:
        DataError: not there, or a line, their number or the file is too large.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder) / "part.txt"
        ...     _ = path.write_text("one\n\ntwo")
        ...     [line for _, line in numbered_lines(path)]
        [b'one\n', b'\n', b'two']
    """
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise DataError(f"{path} has {size:,} bytes; at most {MAX_FILE_BYTES:,} are read")
        with path.open("rb") as file:
            number = 0
            while line := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(line) > MAX_LINE_BYTES or number > MAX_LINES:
                    raise DataError(
                        f"{path}, line {number}: at most {MAX_LINES:,} lines of {MAX_LINE_BYTES:,} bytes are read"
                    )
                yield f"{path}, line {number}", line
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
