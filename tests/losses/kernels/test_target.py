"""What the passes should predict: its mass, its cost, and what it takes off the gradient."""

import pytest
import torch

from regdrop.losses.kernels import Rows
from regdrop.losses.kernels.target import Target

LOGITS = torch.tensor([[[0.0, 1.0, 2.0], [3.0, -1.0, 0.0]], [[0.5, 0.0, 0.0], [1.0, 1.0, -2.0]]], dtype=torch.float64)
INDEX = torch.tensor([2, 0])
CLASS_WEIGHT = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
ONE_HOT = torch.nn.functional.one_hot(INDEX, 3).double()


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("class_weight", [None, CLASS_WEIGHT])
@pytest.mark.parametrize("target", [INDEX, ONE_HOT], ids=["index", "dense"])
def test_cost_and_gradient_of_its_mass(target, class_weight, smoothing):
    found = Target.of(Rows(LOGITS, target, 1.0, 1.0, smoothing, class_weight), LOGITS)
    mass = ONE_HOT * (1 - smoothing) + smoothing / 3
    if class_weight is not None:
        mass = mass * class_weight
    expected = -(mass * LOGITS.log_softmax(-1)).sum((0, -1))
    got = found.log_likelihood(LOGITS, LOGITS.softmax(-1))
    torch.testing.assert_close(-got.view(-1, 2).sum(0), expected)
    torch.testing.assert_close(torch.zeros(2, 1).double() + found.mass, mass.sum(-1, keepdim=True))
    out = torch.ones_like(LOGITS)
    found.subtract(0.25, out)
    torch.testing.assert_close(out, 1 - 0.25 * mass.expand(2, -1, -1))


def test_a_class_whose_probability_has_underflowed_still_has_its_logarithm():
    logits = torch.tensor([[[200.0, 0.0]], [[0.0, 0.0]]])
    found = Target.of(Rows(logits, torch.tensor([1]), 1.0), logits)
    torch.testing.assert_close(found.log_likelihood(logits, logits.softmax(-1)).sum(), torch.tensor(-200.6931))


def test_without_a_target_nothing_is_asked():
    found = Target.of(Rows(LOGITS, None, 1.0), LOGITS)
    out = torch.ones_like(LOGITS)
    found.subtract(1.0, out)
    assert not found.log_likelihood(LOGITS, LOGITS.softmax(-1)).any()
    assert torch.equal(out, torch.ones_like(LOGITS))
