"""`linear_r_drop_loss` is `r_drop_loss` of the output layer: same value and gradients, without the logits."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import linear

from output_layer import ALPHA, CLASSES, FEATURES, assert_same, fused, gradients, labels, layer, normal, unfused
from reference import batch_mean, classification
from regdrop.errors import InputError
from regdrop.losses import head

# Against the paper's equation


def check_reference(parts, target, valid, smoothing=0.0, weight=None, **arguments):
    arguments |= {"label_smoothing": smoothing, "class_weight": weight}
    out = fused(parts, target, **arguments)
    logits = linear(*parts).flatten(1, -2)
    rows = target.reshape(valid.numel(), *target.shape[valid.ndim :])
    options = {"smoothing": smoothing, "weight": weight}
    loss, task_loss, kl = batch_mean(classification, logits, rows, valid.flatten(), ALPHA, **options)
    exact = {"rtol": 1e-10, "atol": 1e-10}
    torch.testing.assert_close((out.loss, out.task_loss, out.kl), (loss, task_loss, kl), **exact)
    torch.testing.assert_close(gradients(out.loss, parts), gradients(loss, parts), **exact)


@pytest.mark.parametrize("passes", [2, 3])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
def test_single_labels(backend, small_chunks, passes, biased, smoothing, weighted):
    weight = normal(CLASSES, seed=3).abs() if weighted else None
    valid = torch.ones(5, dtype=torch.bool)
    parts = layer(5, passes=passes, biased=biased)
    check_reference(parts, labels(5), valid, smoothing, weight, backend=backend)


@pytest.mark.parametrize("ignore_index", [-100, -1, 3])
def test_tokens_with_padding_and_mask(backend, small_chunks, ignore_index):
    target = labels(2, 4)
    target[0, 1] = target[1, 3] = ignore_index
    mask = torch.tensor([[1, 1, 0, 1], [1, 1, 1, 1]])
    valid = (target != ignore_index) & mask.bool()
    check_reference(layer(2, 4), target, valid, ignore_index=ignore_index, mask=mask, backend=backend)


def test_one_item_left(backend):
    target = torch.full((2, 4), -100)
    target[1, 2] = 5
    check_reference(layer(2, 4), target, target != -100, backend=backend)


def test_soft_targets(backend, small_chunks):
    target = normal(2, 3, CLASSES, seed=2).softmax(-1)
    mask = torch.tensor([[True, True, False], [True, False, True]])
    check_reference(layer(2, 3), target, mask, 0.1, mask=mask, backend=backend)


# Against the unfused loss, at sizes the slow loops do not reach


@settings(max_examples=40, deadline=None)
@given(
    passes=st.integers(2, 4),
    items=st.integers(1, 400),
    reduction=st.sampled_from(["mean", "sum", "none"]),
    biased=st.booleans(),
    ignored=st.floats(0, 0.9),
    seed=st.integers(0, 1000),
)
def test_equals_the_unfused_loss(passes, items, reduction, biased, ignored, seed):
    target = labels(items, seed=seed)
    target[1:][normal(items, seed=seed)[1:].abs() < ignored] = -100
    parts = layer(items, passes=passes, biased=biased, seed=seed)
    options = {"reduction": reduction, "label_smoothing": 0.1}
    outer = normal(items, seed=seed + 5) if reduction == "none" else normal((), seed=seed + 5)
    outer = outer if reduction == "none" else outer.reshape(())
    assert_same(fused(parts, target, **options), unfused(parts, target, **options), parts, outer)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("frozen", ["hidden", "weight", "bias", "weight and bias"])
def test_frozen_parts_get_no_gradient(backend, reduction, frozen):
    parts = layer(9)
    for part, name in zip(parts, ("hidden", "weight", "bias"), strict=True):
        part.requires_grad_(name not in frozen)
    target = labels(9)
    got, want = (loss(parts, target, reduction=reduction, backend=backend) for loss in (fused, unfused))
    outer = torch.ones_like(got.loss)
    assert_same(got, want, parts, outer)
    got = fused(parts, target, reduction=reduction, backend=backend)
    got.loss.backward(outer)
    assert all((part.grad is None) == (not part.requires_grad) for part in parts)


def test_all_frozen_or_no_grad_is_the_value_alone(backend):
    parts, target = layer(9), labels(9)
    with torch.no_grad():
        out = fused(parts, target, backend=backend)
    assert not out.loss.requires_grad
    torch.testing.assert_close(out.loss, unfused(parts, target, backend=backend).loss.detach())


def test_tied_weights(backend):
    _, weight, bias = layer(1)
    noise, tokens, target = normal(2, 3, 4, FEATURES, seed=8), labels(3, 4, seed=4), labels(3, 4)
    grads = []
    for loss in (fused, unfused):
        hidden = torch.tanh(weight[tokens] + noise)
        grads.append(gradients(loss([hidden, weight, bias], target, backend=backend).loss, [weight, bias]))
    torch.testing.assert_close(grads[0], grads[1])


def test_the_compiled_kernel_writes_over_its_chunk(small_chunks):
    for items in (4, 11):
        parts, target = layer(items), labels(items)
        assert_same(fused(parts, target, backend="compile"), unfused(parts, target, backend="eager"), parts)


# Laws


def test_the_size_of_a_chunk_does_not_matter(backend, monkeypatch):
    parts, target = layer(33), labels(33)
    whole = fused(parts, target, backend=backend)
    for rows in (1, 2, 7, 64):
        monkeypatch.setattr(head, "FEWEST_ROWS", rows)
        monkeypatch.setattr(head, "MOST_ROWS", rows)
        assert_same(fused(parts, target, backend=backend), whole, parts)
        whole = fused(parts, target, backend=backend)


def test_splitting_the_batch_changes_nothing(backend):
    parts, target = layer(7, 3), labels(7, 3)
    target[2] = -100
    target[5, 1:] = -100
    hidden, *rest = parts
    whole = fused(parts, target, backend=backend)
    count = int((target != -100).sum())
    pieces = [
        fused([hidden[:, part], *rest], target[part], num_items=count, backend=backend)
        for part in (slice(0, 2), slice(2, 3), slice(3, 7))
    ]
    torch.testing.assert_close(sum(piece.kl for piece in pieces), whole.kl)
    split = gradients(sum(piece.loss for piece in pieces), parts)
    torch.testing.assert_close(split, gradients(whole.loss, parts))


@pytest.mark.parametrize("content", [1e4, float("inf"), float("nan")])
def test_what_stands_in_padding_changes_nothing(backend, content):
    (hidden, *rest), target = layer(3, 4), labels(3, 4)
    target[0, 2:] = -100
    dirty = hidden.detach().clone()
    dirty[:, 0, 2:] = content
    dirty.requires_grad_()
    out, other = (fused([part, *rest], target, backend=backend) for part in (hidden, dirty))
    assert torch.equal(out.loss, other.loss)
    grads = gradients(other.loss, [dirty, *rest])
    torch.testing.assert_close(gradients(out.loss, [hidden, *rest]), grads, rtol=0, atol=0)
    assert not grads[0][:, 0, 2:].any()


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_no_valid_item_adds_exactly_nothing(backend, reduction):
    parts = layer(3)
    arguments = {"num_items": 8} if reduction == "mean" else {}
    out = fused(parts, torch.full((3,), -100), reduction=reduction, backend=backend, **arguments)
    out.loss.sum().backward()
    assert not out.loss.any()
    assert not any(part.grad.any() for part in parts)


def test_a_mean_over_no_item_is_refused():
    with pytest.raises(InputError, match="no valid item"):
        fused(layer(3), torch.full((3,), -100))
