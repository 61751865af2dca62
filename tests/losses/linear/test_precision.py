"""The loss of an output layer in half precision, under autocast, and what autograd may do with it."""

import pytest
import torch

from output_layer import fused, gradients, labels, layer, unfused
from regdrop import linear_r_drop_loss
from regdrop.errors import UnsupportedError
from regdrop.losses import head

# Precision


def test_half_precision_layer(backend):
    parts = layer(5, 6, dtype=torch.bfloat16)
    exact = [part.detach().double().requires_grad_() for part in parts]
    target = labels(5, 6)
    out, want = fused(parts, target, backend=backend), unfused(exact, target)
    assert out.loss.dtype == torch.float32
    torch.testing.assert_close(out.loss.double(), want.loss, rtol=1e-2, atol=0)
    for got, expected in zip(gradients(out.loss, parts), gradients(want.loss, exact), strict=True):
        assert got.dtype == torch.bfloat16
        assert (got.double() - expected).norm() < 2e-2 * expected.norm()


def test_the_gradient_of_a_half_precision_weight_is_summed_in_float32(monkeypatch):
    """A thousand equal chunks: in bfloat16 their sum stops growing at 256 times one of them."""
    monkeypatch.setattr(head, "FEWEST_ROWS", 2)
    monkeypatch.setattr(head, "MOST_ROWS", 2)
    hidden = torch.ones(2, 1000, 1, dtype=torch.bfloat16)
    weight, bias = (torch.zeros(shape, dtype=torch.bfloat16, requires_grad=True) for shape in ((2, 1), (2,)))
    target = torch.zeros(1000, dtype=torch.long)
    linear_r_drop_loss(hidden, weight, target, bias, alpha=0.0, reduction="sum").loss.backward()
    expected = torch.tensor([-1000.0, 1000.0], dtype=torch.bfloat16)
    assert torch.equal(bias.grad, expected)
    assert torch.equal(weight.grad.squeeze(-1), expected)


def test_the_factor_of_a_gradient_scaler_is_finite_in_float16():
    half, target = layer(5, dtype=torch.float16), labels(5)
    wide = [part.detach().float().requires_grad_() for part in half]
    for parts in (half, wide):
        (65536 * fused(parts, target, num_items=10_000, backend="eager").loss).backward()
    for part, same in zip(half, wide, strict=True):
        torch.testing.assert_close(part.grad.float(), same.grad, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("masked", [False, True])
def test_what_an_item_of_a_large_batch_adds_is_not_0_in_float16(masked):
    """A probability divided by 2^24 is; the scaler's factor comes in backward, too late."""
    half, target = layer(50, dtype=torch.float16), labels(50)
    wide = [part.detach().double().requires_grad_() for part in half]
    mask = torch.arange(50) % 3 > 0 if masked else None
    for parts in (half, wide):
        (65536 * fused(parts, target, num_items=1 << 24, mask=mask, backend="eager").loss).backward()
    for part, same in zip(half, wide, strict=True):
        assert (part.grad - same.grad).norm() < 2e-3 * same.grad.norm()


def test_what_an_item_of_small_weight_adds_is_not_0_under_float16_autocast():
    parts, target = layer(50, dtype=torch.float32), labels(50)
    outer = torch.full((50,), -(2.0**-24))
    with torch.autocast("cpu", dtype=torch.float16):
        out = fused(parts, target, reduction="none", backend="eager")
    expected = gradients(unfused(parts, target, reduction="none").loss, parts, outer)
    for got, want in zip(gradients(out.loss, parts, outer), expected, strict=True):
        assert (got - want).norm() < 1e-2 * want.norm()


def test_large_hidden_states_do_not_overflow_in_float16():
    """Items that all pull the same way, in the largest chunks: their sum is not a mean before it is divided."""
    hidden = torch.full((2, 4100, 1), 30000.0, dtype=torch.float16)
    weight = torch.zeros(4, 1, dtype=torch.float16, requires_grad=True)
    linear_r_drop_loss(hidden, weight, torch.zeros(4100, dtype=torch.long), alpha=1.0, backend="eager").loss.backward()
    expected = 60000.0 * torch.tensor([-0.75, 0.25, 0.25, 0.25])
    torch.testing.assert_close(weight.grad.squeeze(-1).float(), expected, rtol=1e-3, atol=0)


def test_under_autocast_the_layer_is_cast_and_its_gradient_is_not(backend):
    parts, target = layer(5, 6, dtype=torch.float32), labels(5, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got, want = (loss(parts, target, backend=backend) for loss in (fused, unfused))
    torch.testing.assert_close(got.loss, want.loss, rtol=1e-3, atol=0)
    for one, other in zip(gradients(got.loss, parts), gradients(want.loss, parts), strict=True):
        assert one.dtype == torch.float32
        assert (one - other).norm() < 2e-2 * other.norm()


# Autograd


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_gradcheck(backend, reduction):
    target = labels(2, 3)
    target[0, 1] = -100

    def loss(*parts):
        return fused(parts, target, label_smoothing=0.1, reduction=reduction, backend=backend).loss

    assert torch.autograd.gradcheck(loss, layer(2, 3))


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_a_second_derivative_is_refused(reduction):
    parts = layer(3)
    loss = fused(parts, labels(3), reduction=reduction).loss.sum()
    with pytest.raises(UnsupportedError, match="no second derivative"):
        torch.autograd.grad(loss, parts, create_graph=True)


def test_a_second_backward_over_scaled_gradients_is_refused():
    parts = layer(3)
    loss = 3 * fused(parts, labels(3)).loss
    loss.backward(retain_graph=True)
    with pytest.raises(UnsupportedError, match="compute the loss again"):
        loss.backward()
