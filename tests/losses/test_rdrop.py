"""Value and gradient of `r_drop_loss` against the paper's equation, for every task and option."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reference import classification, multilabel, regression, value_and_gradient
from regdrop import RDropLoss, r_drop_loss

ALPHA = 1.7
CLASSES = 7


def normal(*shape, seed=0):
    return 2 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def labels(*shape):
    return torch.randint(CLASSES, shape, generator=torch.Generator().manual_seed(1))


def assert_equal_reference(out, gradient, expected):
    loss, task_loss, divergence, expected_gradient = expected
    for got, want in ((out.loss.detach(), loss), (out.task_loss, task_loss), (out.kl, divergence)):
        torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(gradient.reshape(expected_gradient.shape), expected_gradient, rtol=1e-10, atol=1e-10)


def check_classification(logits, target, valid, smoothing=0.0, weight=None, **arguments):
    logits = logits.clone().requires_grad_()
    arguments |= {"label_smoothing": smoothing, "class_weight": weight}
    out = r_drop_loss(logits, target, alpha=ALPHA, **arguments)
    out.loss.backward()
    rows = target.reshape(valid.numel(), *target.shape[valid.ndim :])
    options = {"smoothing": smoothing, "weight": weight}
    flat = logits.flatten(1, -2)
    expected = value_and_gradient(classification, flat, rows, valid.flatten(), ALPHA, **options)
    assert_equal_reference(out, logits.grad, expected)


@pytest.mark.parametrize("passes", [2, 3, 4])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
def test_single_labels(backend, passes, smoothing, weighted):
    weight = normal(CLASSES, seed=3).abs() if weighted else None
    valid = torch.ones(5, dtype=torch.bool)
    check_classification(normal(passes, 5, CLASSES), labels(5), valid, smoothing, weight, backend=backend)


@pytest.mark.parametrize("passes", [2, 3])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("ignore_index", [-100, -1, 3])
def test_tokens_with_padding_and_mask(backend, passes, smoothing, ignore_index):
    target = labels(2, 4)
    target[0, 1] = target[1, 3] = ignore_index
    mask = torch.tensor([[1, 1, 0, 1], [1, 1, 1, 1]])
    valid = (target != ignore_index) & mask.bool()
    options = {"ignore_index": ignore_index, "mask": mask, "backend": backend}
    check_classification(normal(passes, 2, 4, CLASSES), target, valid, smoothing, **options)


@pytest.mark.parametrize("passes", [2, 3])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_soft_targets_with_weights(backend, passes, smoothing):
    target = normal(2, 3, CLASSES, seed=2).softmax(-1)
    target[0, 0] = torch.eye(CLASSES, dtype=torch.float64)[2]
    mask = torch.tensor([[True, True, False], [True, False, True]])
    weight = normal(CLASSES, seed=3).abs()
    check_classification(normal(passes, 2, 3, CLASSES), target, mask, smoothing, weight, mask=mask, backend=backend)


POINTWISE = {"regression": regression, "multilabel": multilabel}


@pytest.mark.parametrize("passes", [2, 3])
@pytest.mark.parametrize("task", POINTWISE)
def test_entries(passes, task):
    logits = normal(passes, 4, 3).requires_grad_()
    target = normal(4, 3, seed=5) if task == "regression" else (normal(4, 3, seed=5) > 0).double()
    mask = torch.tensor([[1, 1, 1], [0, 1, 1], [1, 1, 0], [1, 1, 1]], dtype=torch.bool)
    out = r_drop_loss(logits, target, alpha=ALPHA, task=task, mask=mask)
    out.loss.backward()
    expected = value_and_gradient(POINTWISE[task], logits.flatten(1), target.flatten(), mask.flatten(), ALPHA)
    assert_equal_reference(out, logits.grad, expected)


def test_multilabel_ignores_unknown_labels():
    logits, target = normal(2, 4, 3), (normal(4, 3, seed=5) > 0).double()
    target[1, 2] = -100
    masked = r_drop_loss(logits, target.clamp(min=0), alpha=1.0, task="multilabel", mask=target != -100)
    torch.testing.assert_close(r_drop_loss(logits, target, alpha=1.0, task="multilabel").loss, masked.loss)


def test_regression_accepts_one_column_for_plain_numbers():
    outputs, target = normal(2, 4, 1), normal(4, seed=5)
    flat = r_drop_loss(outputs.squeeze(-1), target, alpha=1.0, task="regression")
    torch.testing.assert_close(r_drop_loss(outputs, target, alpha=1.0, task="regression").loss, flat.loss)


def test_regression_may_have_a_score_of_minus_hundred():
    out = r_drop_loss(torch.zeros(2, 1), torch.tensor([-100.0]), alpha=1.0, task="regression")
    assert out.task_loss == 2e4


@pytest.mark.parametrize("task", ["classification", *POINTWISE])
@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_reductions_agree_with_the_mean(task, reduction):
    logits = normal(2, 6, CLASSES).requires_grad_()
    target = labels(6) if task == "classification" else (normal(6, CLASSES, seed=4) > 0).double()
    mask = torch.ones(target.shape, dtype=torch.bool)
    mask.view(-1)[2] = False
    arguments = {"alpha": ALPHA, "task": task, "mask": mask}
    mean = r_drop_loss(logits, target, **arguments)
    out = r_drop_loss(logits, target, reduction=reduction, **arguments)
    assert out.loss.shape == out.kl.shape == out.task_loss.shape == (target.shape if reduction == "none" else ())
    for part in ("loss", "task_loss", "kl"):
        torch.testing.assert_close(getattr(out, part).sum() / mask.sum(), getattr(mean, part))
    expected = torch.autograd.grad(mean.loss, logits)[0]
    torch.testing.assert_close(torch.autograd.grad(out.loss.sum() / mask.sum(), logits)[0], expected)


def test_per_item_losses_can_be_weighted_by_the_caller(backend):
    logits, weight = normal(2, 4, CLASSES).requires_grad_(), torch.tensor([0.5, 2.0, 0.0, 1.0]).double()
    (r_drop_loss(logits, labels(4), alpha=1.0, reduction="none", backend=backend).loss * weight).sum().backward()
    for i in range(4):
        alone = logits.detach()[:, i : i + 1].requires_grad_()
        (r_drop_loss(alone, labels(4)[i : i + 1], alpha=1.0, backend=backend).loss * weight[i]).backward()
        torch.testing.assert_close(logits.grad[:, i : i + 1], alone.grad)


def test_gradcheck(backend):
    logits = normal(3, 2, 3, 4).requires_grad_()
    target = torch.tensor([[0, 1, -100], [3, 2, 1]])
    options = {"alpha": ALPHA, "label_smoothing": 0.1, "backend": backend}
    assert torch.autograd.gradcheck(lambda z: r_drop_loss(z, target, **options).loss, logits)


@pytest.mark.parametrize("task", POINTWISE)
def test_gradcheck_of_entries(task):
    logits, target = normal(3, 4, 2).requires_grad_(), (normal(4, 2, seed=4) > 0).double()
    assert torch.autograd.gradcheck(lambda z: r_drop_loss(z, target, alpha=ALPHA, task=task).loss, logits)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_accumulated_in_float32(backend, dtype):
    logits = normal(2, 8, 1000).to(dtype).requires_grad_()
    out = r_drop_loss(logits, labels(8), alpha=1.0, backend=backend)
    out.loss.backward()
    valid = torch.ones(8, dtype=torch.bool)
    exact = logits.detach().double().requires_grad_()
    want = r_drop_loss(exact, labels(8), alpha=1.0)
    want.loss.backward()
    assert out.loss.dtype == torch.float32
    assert valid.all()
    torch.testing.assert_close(out.loss.double(), want.loss, rtol=1e-6, atol=0)
    torch.testing.assert_close(logits.grad.double(), exact.grad, rtol=1e-2, atol=1e-6)


@given(
    passes=st.integers(2, 4),
    items=st.integers(1, 4),
    classes=st.integers(1, 5),
    smoothing=st.sampled_from([0.0, 0.3]),
    alpha=st.floats(0, 50),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=60, deadline=None)
def test_any_shape_agrees_with_the_reference(passes, items, classes, smoothing, alpha, seed):
    logits = normal(passes, items, classes, seed=seed).requires_grad_()
    target = torch.randint(classes, (items,), generator=torch.Generator().manual_seed(seed))
    out = r_drop_loss(logits, target, alpha=alpha, label_smoothing=smoothing)
    out.loss.backward()
    valid = torch.ones(items, dtype=torch.bool)
    options = {"smoothing": smoothing, "weight": None}
    assert_equal_reference(
        out, logits.grad, value_and_gradient(classification, logits, target, valid, alpha, **options)
    )


def test_the_module_calls_the_function():
    weight = normal(CLASSES).abs().float()
    criterion = RDropLoss(ALPHA, label_smoothing=0.1, class_weight=weight, ignore_index=2)
    logits, target = normal(2, 6, CLASSES).float(), labels(6)
    mask = torch.tensor([True] * 5 + [False])
    arguments = {"alpha": ALPHA, "label_smoothing": 0.1, "class_weight": weight, "ignore_index": 2}
    out = criterion(logits, target, mask=mask, num_items=3)
    assert torch.equal(out.loss, r_drop_loss(logits, target, mask=mask, num_items=3, **arguments).loss)
    assert criterion.state_dict() == {}
    assert "alpha=1.7" in repr(criterion)
