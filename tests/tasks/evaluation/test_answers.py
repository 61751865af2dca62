import math

import pytest
import torch

from diagnostics import slow
from regdrop.tasks.evaluation.answers import calibration_error, class_answers, number_answers


def test_a_class_is_kept_with_its_cross_entropy_and_its_probability():
    logits, labels = torch.tensor([[0.1, 0.9, 0.2], [0.8, 0.2, -1.0]]), torch.tensor([1, 2])
    losses, counts, chosen, sure = class_answers(logits, labels)
    for row, label, loss, confidence in zip(*(each.tolist() for each in (logits, labels, losses, sure)), strict=True):
        total = sum(math.exp(z) for z in row)
        assert loss == pytest.approx(math.log(total) - row[label])
        assert confidence == pytest.approx(math.exp(max(row)) / total)
    assert (counts.tolist(), chosen.tolist()) == ([1, 1], [1, 0])


def test_a_number_is_kept_with_its_squared_error():
    losses, counts, numbers = number_answers(torch.tensor([[1.5], [-2.0]]), torch.tensor([1.0, 3.0]))
    assert (losses.tolist(), counts.tolist(), numbers.tolist()) == ([0.25, 25.0], [1, 1], [1.5, -2.0])


def test_half_precision_is_summed_in_single():
    logits = torch.tensor([[3.0, -3.0]], dtype=torch.bfloat16)
    kept = class_answers(logits, torch.tensor([0]))
    assert (kept[0].dtype, kept[3].dtype) == (torch.float32, torch.float32)
    assert number_answers(torch.tensor([[3.0]], dtype=torch.bfloat16), torch.tensor([1.0]))[0].tolist() == [4.0]


@pytest.mark.parametrize("scale", [0.1, 2.0, 30.0])
def test_the_calibration_error_of_kept_answers_equals_the_loop_over_their_logits(scale):
    logits, labels = slow.normal(200, 4, scale=scale), slow.classes(200, 4)
    _, _, choices, confidences = (kept.numpy() for kept in class_answers(logits, labels))
    expected, _ = slow.reliability(logits, labels, 15)
    assert calibration_error(choices, confidences, labels.numpy()) == pytest.approx(expected, abs=1e-6)


def test_the_calibration_error_of_a_broken_model_is_no_number():
    logits, labels = torch.full((3, 2), math.nan), torch.zeros(3, dtype=torch.long)
    _, _, choices, confidences = (kept.numpy() for kept in class_answers(logits, labels))
    assert math.isnan(calibration_error(choices, confidences, labels.numpy()))
