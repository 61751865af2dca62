import json
import math
from dataclasses import asdict, replace

import pytest

from regdrop.errors import DataError
from regdrop.training.summary import RunSummary, versions

SUMMARY = RunSummary(
    "digits_vit", 3, {"alpha": 1.0}, 10, 8, {"accuracy": 0.5}, {"loss": 0.1 + 0.2}, {"bleu": "v"}, 1.5, versions(), 7
)


def test_round_trip():
    assert RunSummary.from_json(SUMMARY.to_json()) == SUMMARY


def test_a_summary_from_before_the_peak_was_measured_is_read():
    text = SUMMARY.to_json().replace('  "peak_bytes": 7,\n', "")
    assert RunSummary.from_json(text) == replace(SUMMARY, peak_bytes=None)


@pytest.mark.parametrize("text", ["", "[]", "{}", "nonsense", SUMMARY.to_json()[:50], "null"])
def test_anything_else_is_refused(text):
    with pytest.raises(DataError, match="not the summary of a finished run"):
        RunSummary.from_json(text)


@pytest.mark.parametrize("wrong", [{"test": 3}, {"validation": {"loss": "low"}}, {"seed": None}, {"seconds": 10**400}])
def test_numbers_that_are_none_are_refused(wrong):
    with pytest.raises(DataError, match="not the summary of a finished run"):
        RunSummary.from_json(json.dumps(asdict(SUMMARY) | wrong))


def test_a_metric_may_be_nan():
    assert math.isnan(RunSummary.from_json(replace(SUMMARY, test={"loss": math.nan}).to_json()).test["loss"])
