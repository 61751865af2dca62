from dataclasses import replace

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
