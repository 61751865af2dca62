"""What a diagnosis prints and writes: all of it, readable, and the same numbers in both."""

import json

import pytest

from diagnostics.nets import labelled, mlp
from regdrop.diagnostics.diagnose import diagnose


@pytest.fixture(scope="module")
def found():
    return diagnose(mlp(*[0.1] * 10), [labelled(2000)], passes=3, bins=10)


def test_json_holds_every_number(found):
    record = json.loads(found.to_json())
    assert record["consistency"]["pairwise_kl"] == found.consistency.pairwise_kl
    assert record["consistency"].keys() == set(found.consistency.__slots__)
    assert len(record["calibration"]["bins"]) == 10
    assert [layer["layer"] for layer in record["layers"]] == [layer.layer for layer in found.layers]
    assert record["verdict"]["text"] == found.verdict.text


def test_text_says_what_was_measured_and_what_it_means(found):
    text = found.to_text()
    assert text.startswith("Sequential: 2,000 items of 3 classes, 3 sub-models (seed 0), 10 of 10 noise sources act\n")
    for number in (found.consistency.pairwise_kl, found.consistency.loss_gap, found.layers[0].kl):
        assert f"{number:.4g}" in text
    assert f"{found.calibration.ece:.2%}" in text
    assert " ".join(text.split()).endswith(found.verdict.text)


def test_text_is_narrow_and_shows_the_strongest_layers_alone(found):
    lines = found.to_text().splitlines()
    assert max(map(len, lines)) <= 100
    table = lines[lines.index("KL with the noise of one layer alone:") + 1 :]
    assert table[8].split()[:3] == ["2", "weaker", "ones"]
    assert not table[9]


def test_a_constant_that_does_not_exist_is_said_so():
    found = diagnose(mlp(0.0), [labelled()])
    assert "by sqrt(KL): undefined" in found.to_text()
    assert json.loads(found.to_json())["consistency"]["loss_gap_constant"] is None
    assert "one layer alone" not in found.to_text()
