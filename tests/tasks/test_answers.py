import math

import pytest
import torch

from regdrop.tasks.answers import class_answers, number_answers


def test_a_class_is_kept_with_its_cross_entropy():
    logits, labels = torch.tensor([[0.1, 0.9, 0.2], [0.8, 0.2, -1.0]]), torch.tensor([1, 2])
    losses, counts, chosen = class_answers(logits, labels)
    for row, label, loss in zip(logits.tolist(), labels.tolist(), losses.tolist(), strict=True):
        assert loss == pytest.approx(math.log(sum(math.exp(z) for z in row)) - row[label])
    assert (counts.tolist(), chosen.tolist()) == ([1, 1], [1, 0])


def test_a_number_is_kept_with_its_squared_error():
    losses, counts, numbers = number_answers(torch.tensor([[1.5], [-2.0]]), torch.tensor([1.0, 3.0]))
    assert (losses.tolist(), counts.tolist(), numbers.tolist()) == ([0.25, 25.0], [1, 1], [1.5, -2.0])


def test_half_precision_is_summed_in_single():
    logits = torch.tensor([[3.0, -3.0]], dtype=torch.bfloat16)
    assert class_answers(logits, torch.tensor([0]))[0].dtype == torch.float32
    assert number_answers(torch.tensor([[3.0]], dtype=torch.bfloat16), torch.tensor([1.0]))[0].tolist() == [4.0]
