"""How the loss meets autograd: in place, twice, twice differentiated, scaled, compiled around."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from regdrop import r_drop_loss
from regdrop.errors import InputError, UnsupportedError
from regdrop.losses.fused import known
from regdrop.losses.kernels import Rows
from regdrop.losses.kernels.dispatch import choose

BACKENDS = ["eager", "native", "compile"]
TARGET = torch.tensor([0, 2, 4, 1])


def leaf(dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    return (2 * torch.randn(2, 4, 5, generator=generator)).to(dtype).requires_grad_()


def loss_of(logits, backend, **options):
    return r_drop_loss(logits, TARGET, alpha=2.0, backend=backend, **options).loss


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_in_place_is_the_same_gradient_in_the_logits_own_memory(backend, dtype):
    apart, inside = leaf(dtype), leaf(dtype)
    loss_of(apart * 1, backend).backward()
    logits = inside * 1
    address = logits.data_ptr()
    loss = loss_of(logits, backend, inplace=True)
    (gradient,) = torch.autograd.grad(loss, logits, retain_graph=True)
    assert gradient.data_ptr() == address
    loss.backward()
    assert torch.equal(inside.grad, apart.grad)


def test_a_gradient_scaler_saves_the_small_gradients_of_float16(backend):
    """In float16 its 65,536 is infinite, and so little as 1e-8 is 0."""
    half = leaf(torch.float16)
    wide = half.detach().float().requires_grad_()
    for logits in (half, wide):
        (65536 * loss_of(logits, backend, num_items=10_000_000)).backward()
    assert wide.grad.abs().max() < 0.05
    torch.testing.assert_close(half.grad.float(), wide.grad, rtol=1e-3, atol=1e-7)


def test_in_place_keeps_the_logits_where_no_gradient_is_wanted(backend):
    logits = leaf().detach()
    before = logits.clone()
    loss_of(logits, backend, inplace=True)
    assert torch.equal(logits, before)


@pytest.mark.parametrize("view", [lambda z: z, lambda z: z.view(2, 2, 2, 5), lambda z: z.view(2, 4, 5)])
def test_in_place_refuses_a_leaf_and_its_views(backend, view):
    logits = leaf()
    before = logits.detach().clone()
    target = TARGET.view(view(logits).shape[1:-1])
    with pytest.raises(InputError, match="leaf"):
        r_drop_loss(view(logits), target, alpha=1.0, backend=backend, inplace=True)
    assert torch.equal(logits, before)


def test_in_place_after_an_operation_that_needs_its_output_is_an_error(backend):
    logits = 30 * torch.tanh(leaf() / 30)
    softcapped = torch.tanh(leaf())
    loss_of(logits, backend, inplace=True).backward()  # a multiplication by a number needs nothing
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss_of(softcapped, backend, inplace=True).backward()


def test_in_place_gradient_overwritten_before_backward_is_an_error(backend):
    logits = leaf() * 1
    loss = loss_of(logits, backend, inplace=True)
    logits.detach().zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_a_second_backward_adds_the_gradient_again(backend):
    logits = leaf()
    loss = loss_of(logits, backend)
    loss.backward(retain_graph=True)
    once = logits.grad.clone()
    loss.backward()
    assert torch.equal(logits.grad, 2 * once)


def test_a_second_backward_of_a_scaled_loss_is_refused(backend):
    loss = 3 * loss_of(leaf(), backend)
    loss.backward(retain_graph=True)
    with pytest.raises(UnsupportedError, match="compute the loss again"):
        loss.backward()


def test_a_second_derivative_is_refused(backend):
    logits = leaf()
    with pytest.raises(UnsupportedError, match="no second derivative"):
        torch.autograd.grad(loss_of(logits, backend), logits, create_graph=True)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_scaled_loss_has_a_scaled_gradient(backend, reduction):
    plain, scaled = leaf(), leaf()
    loss_of(plain, backend, reduction=reduction).backward()
    (loss_of(scaled, backend, reduction=reduction) / 4).backward()
    torch.testing.assert_close(scaled.grad, plain.grad / 4)


def test_parts_for_logging_carry_no_gradient(backend):
    out = r_drop_loss(leaf(), TARGET, alpha=2.0, backend=backend)
    assert out.loss.requires_grad
    assert not out.task_loss.requires_grad
    assert not out.kl.requires_grad
    torch.testing.assert_close(out.loss.detach(), out.task_loss + 2 * out.kl)


def test_nothing_is_saved_but_the_gradient(backend):
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: saved.append(tensor) or tensor, lambda tensor: tensor):
        loss_of(leaf(), backend)
    assert [tensor.shape for tensor in saved] == [(2, 4, 5)]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_one_weight_for_all_is_that_weight_an_item(backend, smoothing):
    logits, kernel = leaf(torch.float64).detach(), choose(backend, leaf())
    results = []
    for weight in (0.3, torch.full((4,), 0.3, dtype=torch.float64)):
        grad = torch.empty_like(logits)
        results.append((kernel(Rows(logits, TARGET, weight, 2.0, smoothing), grad), grad))
    torch.testing.assert_close(*results)


@pytest.mark.parametrize("items", [1, 4, 40_000])
def test_sums_are_those_of_the_shares(backend, items):
    """40,000 items of 60 classes are several chunks, and several threads' work."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, items, 60, generator=generator)
    weight = torch.rand(items, generator=generator)
    rows = Rows(logits, torch.randint(60, (items,), generator=generator), weight, 2.0)
    kernel = choose(backend, logits)
    shares, sums = kernel(rows, None), kernel(replace(rows, summed=True), None)
    expected = tuple(part.double().sum().float() for part in shares)
    torch.testing.assert_close(sums, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("wanted", [(True, True), (True, False), (False, True)])
def test_a_known_gradient_reaches_whoever_wants_it(wanted):
    inputs = [torch.ones(2, 3, requires_grad=want) for want in wanted]
    grads = tuple(torch.full((2, 3), 1.0 + place) if want else None for place, want in enumerate(wanted))
    value = known(torch.tensor(5.0), tuple(inputs), grads)
    (2 * value).backward()
    assert value.item() == 5
    for place, (one, want) in enumerate(zip(inputs, wanted, strict=True)):
        assert torch.equal(one.grad, torch.full((2, 3), 2.0 + 2 * place)) if want else one.grad is None


def test_the_loss_may_be_changed_in_place(backend):
    """As in `loss /= steps` of a training loop."""
    plain, halved = leaf(), leaf()
    loss_of(plain, backend).backward()
    loss = loss_of(halved, backend)
    loss /= 2
    loss.backward()
    torch.testing.assert_close(halved.grad, plain.grad / 2)


@pytest.mark.parametrize("backend", ["eager", "native"])
def test_the_default_device_is_not_where_it_computes(backend):
    expected = loss_of(leaf(), backend)
    logits = leaf()
    with torch.device("meta"):
        assert torch.equal(loss_of(logits, backend), expected)


def test_logits_of_any_layout(backend):
    logits = leaf(torch.float64)
    expected = loss_of(logits, backend)
    (gradient,) = torch.autograd.grad(expected, logits)
    for layout in (logits.transpose(1, 2).contiguous().transpose(1, 2), torch.cat([logits, logits], -1)[..., :5]):
        loss = loss_of(layout, backend)
        (got,) = torch.autograd.grad(loss, logits)
        torch.testing.assert_close((loss, got), (expected, gradient))


COMPILED_AROUND = """
import torch
from regdrop import r_drop_loss

def step(logits, backend):
    return 3 * r_drop_loss(2 * logits, torch.tensor([0, 2, 4, 1]), alpha=2.0, backend=backend).loss + 1

for backend in {backends}:
    torch.compiler.reset()
    logits = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(0), requires_grad=True)
    losses = torch.compile(step, backend="aot_eager")(logits, backend), step(logits, backend)
    gradients = [torch.autograd.grad(loss, logits)[0] for loss in losses]
    torch.testing.assert_close(*losses)
    torch.testing.assert_close(*gradients)
"""


def test_a_compiled_function_may_call_it():
    """In a process of its own: the shape checks of the test run cannot be compiled."""
    program = COMPILED_AROUND.format(backends=BACKENDS)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
