"""JSON becomes the dataclass it was made of, or an error that names the place."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regdrop.errors import DataError
from regdrop.training.typed import LARGEST, read_typed


@dataclass(frozen=True)
class Leaf:
    name: str
    size: float
    note: str | None = None


@dataclass(frozen=True)
class Tree:
    leaves: tuple[Leaf, ...]
    counts: dict[str, int]
    whole: bool
    anything: Any = None
    more: dict[str, float] = field(default_factory=dict)


sizes = st.floats(allow_nan=False, allow_infinity=False)
leaves = st.builds(Leaf, st.text(), sizes, st.none() | st.text())
trees = st.builds(
    Tree,
    st.lists(leaves, max_size=3).map(tuple),
    st.dictionaries(st.text(), st.integers(-LARGEST, LARGEST), max_size=3),
    st.booleans(),
    st.none() | st.integers(),
    st.dictionaries(st.text(), sizes, max_size=2),
)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(trees)
@settings(max_examples=50, deadline=None)
def test_reading_undoes_writing(tree):
    assert read_typed(Tree, json.dumps(asdict(tree)), "tree.json") == tree


def tried(text):
    try:
        return read_typed(Tree, text, "tree.json"), ""
    except DataError as error:
        return None, str(error)


@given(plain, st.sampled_from(["leaves", "counts", "whole", "more"]))
@settings(max_examples=100, deadline=None)
def test_rubbish_is_refused_with_the_name_of_the_file_or_read(value, key):
    tree, error = tried(json.dumps({"leaves": [], "counts": {}, "whole": True, key: value}))
    if tree is None:
        assert error.startswith("tree.json")
        assert "\n" not in error
    else:
        assert tried(json.dumps(asdict(tree))) == (tree, "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "leaf.json is not JSON"),
        ("[" * 100_000, "leaf.json is not JSON"),
        ('{"name": "a", "size": NaN}', "NaN is no JSON number"),
        ('{"name": "a", "size": 1e999}', "size: expected a finite number but got 'inf'"),
        ('{"name": "a", "size": true}', "size: expected a float but got 'True'"),
        ('{"name": "a"}', "has no 'size'"),
        ('{"name": 1, "size": 1}', "name: expected a str but got '1'"),
        (r'{"name": "\ud800", "size": 1}', "name: expected valid Unicode but got"),
        ("[]", "expected an object"),
    ],
)
def test_errors_say_what_is_wrong_where(text, message):
    with pytest.raises(DataError, match=message):
        read_typed(Leaf, text, "leaf.json")


def test_numbers_that_are_too_large_are_refused():
    huge = "1" + "0" * 400
    with pytest.raises(DataError, match="size: expected a finite number"):
        read_typed(Leaf, f'{{"name": "a", "size": {huge}}}', "leaf.json")
    with pytest.raises(DataError, match=r"counts\.a: expected a number up to 4,611,686,018,427,387,904"):
        read_typed(Tree, f'{{"leaves": [], "counts": {{"a": {huge}}}, "whole": true}}', "tree.json")
