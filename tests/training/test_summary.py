import pytest

from regdrop.errors import DataError
from regdrop.training.summary import RunSummary, versions

SUMMARY = RunSummary(
    "digits_vit", 3, {"alpha": 1.0}, 10, 8, {"accuracy": 0.5}, {"loss": 0.1 + 0.2}, {"bleu": "v"}, 1.5, versions()
)


def test_round_trip():
    assert RunSummary.from_json(SUMMARY.to_json()) == SUMMARY


@pytest.mark.parametrize("text", ["", "[]", "{}", "nonsense", SUMMARY.to_json()[:50], "null"])
def test_anything_else_is_refused(text):
    with pytest.raises(DataError, match="not the summary of a finished run"):
        RunSummary.from_json(text)
