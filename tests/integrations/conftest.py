"""The vectors every framework's loss is held to; make_vectors.py says what they are."""

import json
from pathlib import Path

import pytest

VECTORS = json.loads(Path(__file__).with_name("vectors.json").read_text())


@pytest.fixture(params=VECTORS, ids=lambda case: case["name"])
def vector(request):
    """One case as nested lists of numbers, -inf where a class is masked."""
    return request.param | {"logits": _numbers(request.param["logits"])}


def _numbers(values):
    if isinstance(values, list):
        return [_numbers(value) for value in values]
    return float("-inf") if values is None else values
