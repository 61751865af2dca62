"""Laws every backend obeys, whatever the numbers."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from regdrop import r_drop_loss

CLASSES = 11


def normal(*shape, seed=0):
    return 2 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def labels(*shape, seed=1):
    return torch.randint(CLASSES, shape, generator=torch.Generator().manual_seed(seed))


def value_and_gradient(logits, target, **arguments):
    logits = logits.detach().clone().requires_grad_()
    out = r_drop_loss(logits, target, **({"alpha": 1.5} | arguments))
    out.loss.backward()
    return out, logits.grad


def test_swapping_the_passes_swaps_the_gradients(backend):
    logits, target = normal(3, 5, CLASSES), labels(5)
    out, gradient = value_and_gradient(logits, target, backend=backend)
    swapped, swapped_gradient = value_and_gradient(logits[[2, 0, 1]], target, backend=backend)
    torch.testing.assert_close(out.loss, swapped.loss)
    torch.testing.assert_close(gradient[[2, 0, 1]], swapped_gradient)


def test_without_alpha_it_is_the_plain_loss_summed_over_passes(backend):
    logits, target = normal(2, 5, CLASSES), labels(5)
    out, gradient = value_and_gradient(logits, target, alpha=0.0, label_smoothing=0.1, backend=backend)
    plain = logits.clone().requires_grad_()
    expected = sum(cross_entropy(z, target, label_smoothing=0.1) for z in plain)
    expected.backward()
    torch.testing.assert_close(out.loss, expected)
    torch.testing.assert_close(gradient, plain.grad)
    assert out.kl > 0


def test_equal_passes_have_no_divergence_and_no_pull(backend):
    logits, target = normal(1, 5, CLASSES).expand(2, -1, -1), labels(5)
    out, gradient = value_and_gradient(logits, target, alpha=100.0, backend=backend)
    plain = value_and_gradient(logits, target, alpha=0.0, backend=backend)[1]
    assert out.kl == 0
    torch.testing.assert_close(gradient, plain)


def test_shifting_all_logits_of_an_item_changes_nothing(backend):
    logits, target = normal(2, 5, CLASSES), labels(5)
    shift = normal(2, 5, 1, seed=7) * 1000
    out, gradient = value_and_gradient(logits, target, backend=backend)
    shifted, shifted_gradient = value_and_gradient(logits + shift, target, backend=backend)
    torch.testing.assert_close(out.loss, shifted.loss)
    torch.testing.assert_close(gradient, shifted_gradient)


@pytest.mark.parametrize("content", [1e4, float("inf"), float("nan")])
def test_what_stands_in_padding_changes_nothing(backend, content):
    logits, target = normal(2, 3, 4, CLASSES), labels(3, 4)
    target[0, 2:] = -100
    dirty = logits.clone()
    dirty[:, 0, 2:] = content
    out, gradient = value_and_gradient(logits, target, label_smoothing=0.1, backend=backend)
    other, other_gradient = value_and_gradient(dirty, target, label_smoothing=0.1, backend=backend)
    assert torch.equal(out.loss, other.loss)
    assert torch.equal(gradient, other_gradient)
    assert not gradient[:, 0, 2:].any()


def test_more_padding_changes_nothing(backend):
    logits, target = normal(2, 3, 4, CLASSES), labels(3, 4)
    wider = torch.cat([logits, normal(2, 3, 2, CLASSES, seed=9)], 2)
    padded = torch.cat([target, torch.full((3, 2), -100)], 1)
    out = value_and_gradient(logits, target, backend=backend)[0]
    torch.testing.assert_close(out.loss, value_and_gradient(wider, padded, backend=backend)[0].loss)


def test_splitting_the_batch_changes_nothing(backend):
    logits, target = normal(2, 7, 3, CLASSES), labels(7, 3)
    target[2] = -100
    target[5, 1:] = -100
    whole, gradient = value_and_gradient(logits, target, backend=backend)
    count = int((target != -100).sum())
    parts = [
        value_and_gradient(logits[:, part], target[part], num_items=count, backend=backend)
        for part in (slice(0, 2), slice(2, 3), slice(3, 7))
    ]
    torch.testing.assert_close(sum(out.loss for out, _ in parts), whole.loss)
    torch.testing.assert_close(sum(out.kl for out, _ in parts), whole.kl)
    torch.testing.assert_close(torch.cat([part for _, part in parts], 1), gradient)


def test_the_order_of_classes_does_not_matter(backend):
    logits, target = normal(2, 5, CLASSES), labels(5)
    order = torch.randperm(CLASSES, generator=torch.Generator().manual_seed(3))
    out = value_and_gradient(logits, target, backend=backend)[0]
    moved = value_and_gradient(logits[..., order], order.argsort()[target], backend=backend)[0]
    torch.testing.assert_close(out.loss, moved.loss)


def test_classes_masked_in_every_pass_are_as_if_absent(backend):
    logits, target = normal(2, 5, CLASSES), labels(5) % (CLASSES - 2)
    few, few_gradient = value_and_gradient(logits[..., :-2], target, backend=backend)
    masked = logits.clone()
    masked[..., -2:] = -torch.inf
    out, gradient = value_and_gradient(masked, target, backend=backend)
    torch.testing.assert_close(out.loss, few.loss)
    torch.testing.assert_close(gradient[..., :-2], few_gradient)
    assert not gradient[..., -2:].any()


def test_a_class_masked_in_one_pass_only_is_infinitely_far(backend):
    logits, target = normal(2, 2, CLASSES).float(), torch.tensor([0, 1])
    logits[0, 0, 5] = -torch.inf
    out = r_drop_loss(logits, target, alpha=1.0, reduction="none", backend=backend)
    assert out.kl[0] == torch.inf
    assert out.kl[1].isfinite()


def test_alpha_0_leaves_out_an_infinite_divergence(backend):
    logits, target = torch.zeros(2, 3, 6, dtype=torch.float64), torch.tensor([0, 1, 2])
    logits[0, 0, 5] = -torch.inf
    logits[1, 1, 4] = logits[0, 1, 3] = -torch.inf
    out = r_drop_loss(logits.requires_grad_(), target, alpha=0.0, backend=backend)
    assert out.kl == torch.inf
    torch.testing.assert_close(out.loss, out.task_loss)
    (gradient,) = torch.autograd.grad(out.loss, logits)
    (expected,) = torch.autograd.grad(sum(cross_entropy(one, target) for one in logits), logits)
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("classes", [3, 20, 400])
def test_a_row_without_a_class_that_is_possible_is_not_a_number(classes, backend):
    logits = torch.randn(2, 2, classes)
    logits[:, 0] = -torch.inf
    out = r_drop_loss(logits, torch.tensor([0, 1]), alpha=0.0, reduction="none", backend=backend)
    assert out.loss.isnan().tolist() == [True, False]


def test_a_masked_class_of_weight_0_costs_nothing(backend):
    logits, target, weight = torch.zeros(2, 2, 4), torch.tensor([3, 1]), torch.tensor([1.0, 1.0, 1.0, 0.0])
    logits[..., 3] = -torch.inf
    out = r_drop_loss(logits, target, alpha=1.0, class_weight=weight, reduction="none", backend=backend)
    torch.testing.assert_close(out.loss, torch.tensor([0.0, 2 * math.log(3)]))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
def test_labels_of_any_integer_dtype(dtype, backend):
    logits, target = torch.randn(2, 5, 4), torch.tensor([3, 1, 0, 2, 2])
    weight = torch.tensor([1.0, 2.0, 3.0, 4.0])
    got, want = (
        r_drop_loss(logits, labels, alpha=1.0, class_weight=weight, backend=backend).loss
        for labels in (target.to(dtype), target)
    )
    assert got == want


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_logits_a_thousand_apart_have_a_finite_gradient(backend, dtype):
    logits = torch.tensor([[[1000.0, 0.0, 0.0]], [[0.0, 1000.0, 0.0]]], dtype=dtype)
    out, gradient = value_and_gradient(logits, torch.tensor([0]), alpha=1.0, backend=backend)
    assert out.kl == 1000
    assert gradient.isfinite().all()
    assert gradient.any()


def test_a_zero_head_over_hundred_classes(backend):
    out = r_drop_loss(torch.zeros(2, 32, 100), torch.arange(32), alpha=0.6, backend=backend)
    assert round(float(out.task_loss), 4) == 9.2103
    assert out.kl == 0


def test_no_valid_item_of_a_larger_batch_adds_exactly_nothing(backend):
    logits = normal(2, 3, CLASSES)
    out, gradient = value_and_gradient(logits, torch.full((3,), -100), num_items=8, backend=backend)
    assert out.loss == 0
    assert not gradient.any()
