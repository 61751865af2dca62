"""A plan of the digits recipe: what is measured, what is refused, what is asked for by name."""

import json

import pytest

from regdrop.errors import InputError
from regdrop.reports.plan import plan_text
from regdrop.studies.cost.plan import plan
from tiny import tiny_recipe


@pytest.fixture(scope="module")
def found():
    return plan(tiny_recipe(train__micro_batch=32), ["concat", "halved", "twins"], rounds=2, progress=False)


def test_every_way_has_its_time_and_memory(found):
    assert [cost.way for cost in found.costs] == ["plain", "concat", "halved", "twins"]
    assert all(cost.seconds > 0 and cost.refusal is None for cost in found.costs)
    assert all(cost.extra_bytes is None or cost.extra_bytes >= 0 for cost in found.costs)
    assert (found.micro_batch, found.passes, found.rounds) == (32, 2, 2)
    assert found.costs[2].settings == "--train.micro_batch 16"
    assert found.advice[0].startswith("Take ")
    assert json.loads(json.dumps(found.to_dict()))["costs"][1]["way"] == "concat"


def test_its_text_has_every_way_and_the_advice(found):
    lines = plan_text(found).splitlines()
    assert "micro-batch 32, 2 passes" in lines[0]
    for cost in found.costs:
        (row,) = [line for line in lines if line.startswith(f"{cost.way} ")]
        assert f"{cost.seconds * 1e3:.1f}" in row
    assert all(line in lines for line in found.advice)


def test_what_cannot_be_had_says_why():
    found = plan(tiny_recipe(rdrop__passes=3), ["twins"], rounds=1, progress=False)
    assert found.costs[1].seconds is None
    assert "passes=3" in found.costs[1].refusal
    assert f"twins cannot be had: {found.costs[1].refusal}" in plan_text(found)


def test_refusals():
    with pytest.raises(InputError, match="unknown way 'replya': did you mean 'replay'"):
        plan(tiny_recipe(), ["replya"])
    with pytest.raises(InputError, match="rounds=0"):
        plan(tiny_recipe(), rounds=0)
