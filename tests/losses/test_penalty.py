"""The penalties that R-Drop is compared with, against slow float64 loops and their laws."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import reference
from regdrop import symmetric_kl
from regdrop.errors import InputError, UnsupportedError
from regdrop.losses.penalty import mean_penalty

PENALTIES = ["logit_mse", "full_kl"]


def normal(*shape, seed=0):
    return 2 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slow(name, logits, full):
    """One item, logits (passes, classes)."""
    return reference.logit_mse(logits) if name == "logit_mse" else reference.full_kl(logits, full)


def slow_label(name, logits, full):
    """One label, logits (passes,)."""
    if name == "logit_mse":
        return reference.mean_over_pairs(logits, lambda a, b: (a - b) ** 2)
    return sum(reference.bernoulli_kl(full.detach(), z) for z in logits) / len(logits)


def given_to(name, full):
    return full if name == "full_kl" else None


def check(value, logits, expected, slow_logits):
    (gradient,) = torch.autograd.grad(value, logits)
    (expected_gradient,) = torch.autograd.grad(expected, slow_logits)
    torch.testing.assert_close(value, expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("num_items", [None, 20])
@pytest.mark.parametrize("ignored", [-100, 3])
@pytest.mark.parametrize("passes", [2, 3, 5])
@pytest.mark.parametrize("name", PENALTIES)
def test_value_and_gradient_over_tokens_that_count(name, passes, ignored, num_items):
    logits, full = normal(passes, 2, 3, 4).requires_grad_(), normal(2, 3, 4, seed=1).requires_grad_()
    target = torch.tensor([[0, ignored, 2], [1, 1, ignored]])
    value = mean_penalty(logits, target, given_to(name, full), ignore_index=ignored, num_items=num_items)
    counted = [(b, t) for b in range(2) for t in range(3) if target[b, t] != ignored]
    expected = sum(slow(name, logits[:, b, t], full[b, t]) for b, t in counted) / (num_items or len(counted))
    check(value, logits, expected, logits)


@pytest.mark.parametrize("name", PENALTIES)
def test_soft_targets_all_count(name):
    logits, full = normal(2, 3, 4).requires_grad_(), normal(3, 4, seed=1)
    value = mean_penalty(logits, normal(3, 4, seed=2).softmax(-1), given_to(name, full))
    check(value, logits, sum(slow(name, logits[:, i], full[i]) for i in range(3)) / 3, logits)


@pytest.mark.parametrize("name", PENALTIES)
def test_every_label_of_a_multi_label_head_is_an_item(name):
    logits, full = normal(3, 2, 4).requires_grad_(), normal(2, 4, seed=1)
    target = torch.tensor([[1.0, 0.0, -100.0, 1.0], [0.0, 1.0, 1.0, 0.0]])
    value = mean_penalty(logits, target, given_to(name, full), task="multilabel")
    counted = [(i, j) for i in range(2) for j in range(4) if target[i, j] != -100]
    expected = sum(slow_label(name, logits[:, i, j], full[i, j]) for i, j in counted) / len(counted)
    check(value, logits, expected, logits)


def test_the_full_model_gets_no_gradient():
    full = normal(3, 4).requires_grad_()
    mean_penalty(normal(2, 3, 4).requires_grad_(), torch.zeros(3, dtype=torch.long), full).backward()
    assert full.grad is None


@given(st.integers(0, 10_000), st.integers(2, 4), st.floats(-50, 50))
def test_laws(seed, passes, shift):
    logits, full, target = (
        normal(passes, 3, 4, seed=seed),
        normal(3, 4, seed=seed + 1),
        torch.zeros(3, dtype=torch.long),
    )
    order = torch.randperm(passes, generator=torch.Generator().manual_seed(seed))
    for other in (None, full):
        value = mean_penalty(logits, target, other)
        assert value > 0
        torch.testing.assert_close(mean_penalty(logits[order], target, other), value)
    # Every logit of a pass shifted alike: a distribution does not feel it, a distance of logits does.
    shifted = torch.cat([logits[:1] + shift, logits[1:]])
    torch.testing.assert_close(mean_penalty(shifted, target, full), value)
    same = full.expand(passes, -1, -1)
    assert mean_penalty(same, target) < 1e-25  # three passes' mean is rounded
    assert mean_penalty(same, target, full) == 0


def test_two_logit_scales():
    """Ten times the logits: a hundred times their squared distance, whatever the probabilities do."""
    logits, target = normal(2, 3, 4), torch.zeros(3, dtype=torch.long)
    torch.testing.assert_close(mean_penalty(10 * logits, target), 100 * mean_penalty(logits, target))


def test_close_to_agreement_the_full_model_midway_is_a_quarter_of_the_symmetric_kl():
    """To second order KL(m || m +- d) is the variance of d under m, halved; the symmetric KL is that of 2 d, halved."""
    middle, step = normal(5, 7), 1e-3 * normal(5, 7, seed=1)
    logits = torch.stack([middle + step, middle - step])
    target = torch.zeros(5, dtype=torch.long)
    ratio = mean_penalty(logits, target, middle) / symmetric_kl(logits).mean()
    assert ratio.item() == pytest.approx(0.25, rel=1e-4)


@pytest.mark.parametrize("name", PENALTIES)
def test_a_class_that_is_never_possible_adds_nothing(name):
    logits, full, target = normal(2, 3, 4), normal(3, 4, seed=1), torch.zeros(3, dtype=torch.long)
    closed = [z.index_fill(-1, torch.tensor([2]), -torch.inf) for z in (logits, full)]
    scores = closed[0].requires_grad_()
    value = mean_penalty(scores, target, given_to(name, closed[1]))
    value.backward()
    rest = torch.tensor([0, 1, 3])
    without = mean_penalty(logits[..., rest], target, given_to(name, full[..., rest]))
    torch.testing.assert_close(value, without * (3 / 4 if name == "logit_mse" else 1))
    assert scores.grad.isfinite().all()
    assert not scores.grad[..., 2].any()


@pytest.mark.parametrize("name", PENALTIES)
def test_half_precision_is_computed_in_float32(name):
    logits, full, target = normal(2, 3, 4).bfloat16(), normal(3, 4, seed=1).bfloat16(), torch.zeros(3, dtype=torch.long)
    value = mean_penalty(logits, target, given_to(name, full))
    assert value.dtype == torch.float32
    exact = mean_penalty(logits.double(), target, given_to(name, full.double()))
    torch.testing.assert_close(value.double(), exact, rtol=1e-5, atol=0)


def test_refusals():
    logits, target = normal(2, 3, 4), torch.zeros(3, dtype=torch.long)
    with pytest.raises(UnsupportedError, match=r"a regression has no logits .* penalty='kl' is the squared distance"):
        mean_penalty(logits, normal(3, 4), task="regression")
    with pytest.raises(InputError, match=r"full model gave logits of shape \(3, 5\), but one pass has \(3, 4\)"):
        mean_penalty(logits, target, normal(3, 5))
    with pytest.raises(InputError, match="hold 1 pass"):
        mean_penalty(logits[:1], target)
    with pytest.raises(InputError, match="no valid item"):
        mean_penalty(logits, target - 100)
