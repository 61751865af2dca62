import pytest

from regdrop.errors import DataError
from regdrop.tasks.sources import lines
from regdrop.tasks.sources.lines import numbered_lines


def test_lines_are_numbered_from_one(tmp_path):
    path = tmp_path / "part.txt"
    path.write_bytes(b"one\r\n\ntwo")
    assert list(numbered_lines(path)) == [
        (f"{path}, line 1", b"one\r\n"),
        (f"{path}, line 2", b"\n"),
        (f"{path}, line 3", b"two"),
    ]


@pytest.mark.parametrize(
    ("limit", "message"),
    [("MAX_LINE_BYTES", "line 2"), ("MAX_LINES", "line 5"), ("MAX_FILE_BYTES", "15 bytes; at most 4")],
)
def test_what_is_too_large_is_refused(tmp_path, monkeypatch, limit, message):
    monkeypatch.setattr(lines, limit, 4)
    path = tmp_path / "part.txt"
    path.write_text("a\nbbbbbb\nc\nd\ne\n" if limit != "MAX_LINES" else "a\nb\nc\nd\ne\n")
    with pytest.raises(DataError, match=message):
        list(numbered_lines(path))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"cannot read .*absent\.txt"):
        list(numbered_lines(tmp_path / "absent.txt"))
