import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regdrop.errors import DataError
from regdrop.tasks.sources.jsonl import find_part, read_jsonl

COLUMNS = {"text": str, "label": int}


def write(folder, *lines):
    path = folder / "train.jsonl"
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines))
    return path


@given(st.lists(st.fixed_dictionaries({"text": st.text(), "label": st.integers()}), min_size=1))
def test_what_was_written_is_read(tmp_path_factory, rows):
    path = write(tmp_path_factory.mktemp("rows"), *(json.dumps(row) for row in rows))
    assert read_jsonl(path, COLUMNS) == rows


def test_empty_lines_and_other_columns_are_passed_over(tmp_path):
    path = write(tmp_path, '{"text": "a", "label": 1, "idx": 3}', "", "  ", '{"label": 0, "text": "b"}', "")
    assert read_jsonl(path, COLUMNS) == [{"text": "a", "label": 1}, {"text": "b", "label": 0}]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: is not JSON"),
        (b"\xff\xfe", "line 2: is not JSON"),
        ("[" * 100_000, "line 2: is not JSON"),
        ('{"text": "a", "label": NaN}', "line 2: is not JSON"),
        ('{"text": "a", "label": ' + "9" * 5000 + "}", "line 2: is not JSON"),
        ('{"text": "a"}', "line 2: has no 'label'"),
        ('{"text": "a", "label": 1.0}', "line 2: label is '1.0'"),
        ('{"text": "\\ud800", "label": 1}', "line 2: text holds half a character"),
        ("3", "line 2: expected an object"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, line, message):
    path = write(tmp_path, '{"text": "a", "label": 1}', line)
    with pytest.raises(DataError, match=message) as caught:
        read_jsonl(path, COLUMNS)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_nothing_there_is_said(tmp_path):
    with pytest.raises(DataError, match="holds no rows"):
        read_jsonl(write(tmp_path, ""), COLUMNS)
    with pytest.raises(DataError, match=r"cannot read .*absent.jsonl"):
        read_jsonl(tmp_path / "absent.jsonl", COLUMNS)


def test_a_part_is_found_by_the_first_name_that_is_there(tmp_path):
    (tmp_path / "test_2016.jsonl").write_text("{}")
    assert find_part(str(tmp_path), "test", "test_2016") == tmp_path / "test_2016.jsonl"
    assert find_part(str(tmp_path), "validation") is None
    with pytest.raises(DataError, match="no folder"):
        find_part(str(tmp_path / "absent"), "train")
