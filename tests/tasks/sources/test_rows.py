import pytest

from regdrop.errors import DataError
from regdrop.tasks.sources.rows import checked_row

COLUMNS = {"text": str, "score": (int, float)}


def test_wanted_columns_are_kept_as_they_are():
    assert checked_row({"text": "é", "score": 2, "idx": 9}, COLUMNS, "p") == {"text": "é", "score": 2}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([1], r"p: expected an object with text, score, but got '\[1\]'"),
        ({"text": "a"}, "p: has no 'score'; each row needs text, score"),
        ({"text": 5, "score": 1}, "p: text is '5', a int, but must be str"),
        ({"text": "a", "score": "1"}, "p: score is '1', a str, but must be int or float"),
        ({"text": "a", "score": True}, "p: score is 'True', a bool, but must be int or float"),
        ({"text": "a", "score": None}, "p: score is 'None', a NoneType"),
        ({"text": "a", "score": float("inf")}, "p: score is inf, but must be a finite number"),
        ({"text": "\ud800", "score": 1}, "p: text holds half a character"),
        ({"text": ["x" * 1000], "score": 1}, r"p: text is .{,45}, a list"),
    ],
)
def test_anything_else_names_its_place_and_column_in_one_short_line(row, message):
    with pytest.raises(DataError, match=message) as caught:
        checked_row(row, COLUMNS, "p")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200
