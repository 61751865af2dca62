"""`linear_r_drop_loss` is `r_drop_loss` of the output layer: same value and gradients, without the logits."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import config
from torch.nn.functional import linear

from reference import batch_mean, classification
from regdrop import linear_r_drop_loss, r_drop_loss
from regdrop.errors import InputError, UnsupportedError
from regdrop.losses import head
from watcher import Watcher

FEATURES, CLASSES = 4, 7
ALPHA = 1.7


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def labels(*shape, seed=1, classes=CLASSES):
    return torch.randint(classes, shape, generator=torch.Generator().manual_seed(seed))


def layer(*items, passes=2, biased=True, seed=0, dtype=torch.float64):
    """Hidden states, weight and perhaps bias, all of which want a gradient."""
    bias = [normal(CLASSES, seed=seed + 2)] if biased else []
    parts = [normal(passes, *items, FEATURES, seed=seed), normal(CLASSES, FEATURES, seed=seed + 1), *bias]
    return [part.to(dtype).requires_grad_() for part in parts]


def fused(parts, target, **arguments):
    hidden, weight, *bias = parts
    return linear_r_drop_loss(hidden, weight, target, *bias, **({"alpha": ALPHA} | arguments))


def unfused(parts, target, **arguments):
    return r_drop_loss(linear(*parts), target, **({"alpha": ALPHA} | arguments))


def gradients(loss, parts, outer=None):
    return torch.autograd.grad(loss, [part for part in parts if part.requires_grad], outer)


def assert_same(got, want, parts, outer=None, **tolerance):
    for name in ("loss", "task_loss", "kl"):
        torch.testing.assert_close(getattr(got, name), getattr(want, name), **tolerance)
    torch.testing.assert_close(gradients(got.loss, parts, outer), gradients(want.loss, parts, outer), **tolerance)


@pytest.fixture(params=["eager", "native"])
def backend(request):
    """Compiling anew for every option is the business of the kernels' own tests."""
    return request.param


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks of three items of two passes, so that a few items cross several borders."""
    monkeypatch.setattr(head, "FEWEST_ROWS", 6)
    monkeypatch.setattr(head, "MOST_ROWS", 6)


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


# Memory and work


def test_the_full_logits_never_exist(backend):
    items, classes = 2048, 500
    hidden = normal(2, items, FEATURES).float().requires_grad_()
    weight = normal(classes, FEATURES).float().requires_grad_()
    with Watcher() as seen:
        linear_r_drop_loss(hidden, weight, labels(items, classes=classes), alpha=1.0, backend=backend).loss.backward()
    assert seen.most_bytes <= 0.15 * (2 * items * classes * 4)


def test_padding_never_meets_the_layer(backend):
    hidden, weight = layer(50, biased=False)
    target = labels(50)
    target[10:] = -100
    with Watcher() as seen:
        fused([hidden, weight], target, backend=backend).loss.backward()
    assert seen.rows == 2 * 10


# Bad input


@pytest.fixture
def without_run_time_types():
    """Users have no run-time type checker: our own checks must catch these."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


@pytest.mark.parametrize(
    ("change", "pattern"),
    [
        ({0: normal(1, 3, FEATURES)}, r"hidden states of shape \(1, 3, 4\) hold 1 pass; .*torch.stack"),
        ({0: normal(3, FEATURES)}, r"hidden states of shape \(3, 4\) should be \(passes, items, features\)"),
        ({1: normal(CLASSES, 5)}, r"weight has shape \(7, 5\); hidden states of 4 features need \(classes, 4\)"),
        ({1: normal(FEATURES)}, r"weight has shape \(4,\)"),
        ({2: normal(3)}, r"bias has shape \(3,\); a weight of shape \(7, 4\) needs \(7,\)"),
        ({1: normal(CLASSES, FEATURES).float()}, r"torch.float64 but weight has torch.float32.*torch.autocast"),
    ],
)
def test_parts_that_do_not_fit(without_run_time_types, change, pattern):
    parts = [change.get(i, part.detach()) for i, part in enumerate(layer(3))]
    with pytest.raises(InputError, match=pattern):
        fused(parts, labels(3))


def test_a_class_out_of_range():
    with pytest.raises(InputError, match="target 7 is outside the 7 classes"):
        fused(layer(3), torch.tensor([0, 7, 1]))
