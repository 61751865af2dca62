"""The calibration error against a loop and against torchmetrics."""

import pytest
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from diagnostics import slow
from regdrop.diagnostics.calibration import CalibrationSums


def measured(logits, target, bins, pieces=1):
    sums = CalibrationSums(bins)
    for part in torch.arange(len(target)).chunk(pieces):
        sums.add(logits[part], target[part])
    return sums.result()


@pytest.mark.parametrize("bins", [1, 5, 15])
@pytest.mark.parametrize("scale", [0.1, 2.0, 30.0])
def test_bins_and_error_equal_the_loop(bins, scale):
    logits, target = slow.normal(200, 4, scale=scale), slow.classes(200, 4)
    found = measured(logits, target, bins)
    ece, table = slow.reliability(logits, target, bins)
    assert found.ece == pytest.approx(ece, abs=1e-12)
    for got, (items, confidence, accuracy) in zip(found.bins, table, strict=True):
        assert got.items == items
        assert got.confidence == pytest.approx(confidence)
        assert got.accuracy == pytest.approx(accuracy)


@pytest.mark.parametrize("bins", [5, 15])
def test_error_equals_that_of_torchmetrics(bins):
    logits, target = slow.normal(500, 7), slow.classes(500, 7)
    expected = multiclass_calibration_error(logits.softmax(-1), target, num_classes=7, n_bins=bins)
    assert measured(logits, target, bins).ece == pytest.approx(float(expected), abs=1e-6)


def test_batches_of_any_size_give_the_same_result():
    logits, target = slow.normal(50, 4), slow.classes(50, 4)
    whole, split = measured(logits, target, 10), measured(logits, target, 10, pieces=9)
    assert split.ece == pytest.approx(whole.ece, abs=1e-12)
    assert [part.items for part in split.bins] == [part.items for part in whole.bins]


def test_certainty_falls_into_the_last_bin_and_empty_bins_say_so():
    found = measured(torch.tensor([[1000.0, 0.0], [0.0, 1000.0]]), torch.tensor([0, 0]), 4)
    assert found.ece == pytest.approx(0.5)
    assert [part.items for part in found.bins] == [0, 0, 0, 2]
    assert (found.bins[0].confidence, found.bins[3].confidence, found.bins[3].accuracy) == (None, 1.0, 0.5)
    assert (found.bins[3].low, found.bins[3].high) == (0.75, 1.0)
