"""Paddle's loss gives the numbers of torch's: value and gradient from the shared vectors, laws, and bad input."""

import doctest
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message="No ccache found", category=UserWarning)
    paddle = pytest.importorskip("paddle")

from regdrop.errors import InputError
from regdrop.integrations.paddle import RDropLoss, r_drop_loss, rdrop

pytestmark = pytest.mark.paddle

TENSORS = ("mask", "class_weight")
PARTS = ("loss", "task_loss", "kl")
EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "paddle_digits.py"


def tensor(values, dtype="float64"):
    """Integers stay integers."""
    array = np.asarray(values)
    return paddle.to_tensor(array.astype(dtype) if array.dtype.kind == "f" else array)


def normal(*shape, seed=0, dtype="float64"):
    return tensor(2 * np.random.default_rng(seed).standard_normal(shape), dtype)


def labels(*shape, classes=7):
    return tensor(np.random.default_rng(1).integers(classes, size=shape))


def solved(logits, label, **options):
    """(loss, task loss, kl, gradient of the summed loss) as arrays."""
    leaf = logits.detach().clone()
    leaf.stop_gradient = False
    out = r_drop_loss(leaf, label, **options)
    out.loss.sum().backward()
    return [getattr(out, part).numpy() for part in PARTS] + [leaf.grad.numpy()]


def assert_same(got, expected, rtol=1e-10, atol=1e-10):
    for one, other in zip(got, expected, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=rtol, atol=atol)


@pytest.mark.parametrize(("dtype", "rtol", "atol"), [("float64", 1e-10, 1e-10), ("float32", 1e-5, 1e-6)])
def test_value_and_gradient(vector, dtype, rtol, atol):
    options = {key: tensor(value, dtype) if key in TENSORS else value for key, value in vector["options"].items()}
    got = solved(tensor(vector["logits"], dtype), tensor(vector["label"], dtype), **options)
    assert_same(got, [np.asarray(vector[part], dtype) for part in (*PARTS, "gradient")], rtol, atol)


def test_nearly_equal_passes_keep_their_digits():
    """At an offset where float32 steps by 1/128, against float64."""
    step = tensor(np.random.default_rng(0).integers(-1, 2, size=(2, 8, 1000)) / 128.0)
    logits = (normal(1, 8, 1000) * 128).round() / 128 + step + 1e5
    exact, single = (solved(logits.astype(dtype), labels(8), alpha=1.0) for dtype in ("float64", "float32"))
    np.testing.assert_allclose(single[2], exact[2], rtol=1e-5)
    divergence = [solved(logits.astype(d), labels(8), alpha=1e6)[3] for d in ("float64", "float32")]
    np.testing.assert_allclose(divergence[1], divergence[0], rtol=1e-4, atol=1e-5 * abs(divergence[0]).max())


@given(
    passes=st.integers(2, 4),
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=2),
    classes=st.integers(1, 6),
    alpha=st.floats(0, 50),
    smoothing=st.sampled_from([0.0, 0.3]),
    offset=st.sampled_from([0.0, -1e3, 1e5]),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=50, deadline=None)
def test_laws(passes, shape, classes, alpha, smoothing, offset, seed):
    """The order of the passes and a shift of the logits change nothing; loss = task_loss + alpha * kl, kl >= 0."""
    logits, label = normal(passes, *shape, classes, seed=seed), labels(*shape, classes=classes)
    options = {"alpha": alpha, "label_smoothing": smoothing}
    loss, task_loss, kl, gradient = solved(logits, label, **options)
    np.testing.assert_allclose(loss, task_loss + alpha * kl, rtol=1e-12)
    assert kl >= -1e-15
    swapped = solved(logits.flip(0), label, **options)
    assert_same([*swapped[:3], swapped[3][::-1]], [loss, task_loss, kl, gradient], atol=1e-9)
    assert_same(solved(logits + offset, label, **options), [loss, task_loss, kl, gradient], 1e-8, 1e-8)


@pytest.mark.parametrize("seed", range(20))
def test_any_shape_agrees_with_torch(seed):
    torch = pytest.importorskip("torch")
    from regdrop import r_drop_loss as torch_loss

    passes, *items, classes = np.random.default_rng(seed).integers([2, 1, 1, 1], 6)
    logits, label = normal(passes, *items, classes, seed=seed), labels(*items, classes=classes)
    other = torch.tensor(logits.numpy(), requires_grad=True)
    out = torch_loss(other, torch.tensor(label.numpy()), alpha=1.5)
    out.loss.backward()
    expected = [out.loss.detach().numpy(), out.task_loss.numpy(), out.kl.numpy(), other.grad.numpy()]
    assert_same(solved(logits, label, alpha=1.5), expected)


@pytest.mark.parametrize("content", [float("nan"), float("inf"), -float("inf"), 1e30])
@pytest.mark.parametrize("task", ["classification", "regression", "multilabel"])
def test_what_is_padded_reaches_nothing(task, content):
    logits, mask = normal(2, 3, 7), tensor([True, False, True])
    label = labels(3) if task == "classification" else normal(3, 7, seed=3)
    mask = mask if task == "classification" else mask.unsqueeze(-1).expand([3, 7])
    clean = solved(logits, label, alpha=1.0, task=task, mask=mask)
    logits[:, 1] = content
    if task != "classification":
        label[1] = content
    assert_same(solved(logits, label, alpha=1.0, task=task, mask=mask), clean)
    assert not clean[3][:, 1].any()


def test_padded_probabilities_reach_nothing():
    logits, label, mask = normal(2, 3, 7), paddle.nn.functional.softmax(normal(3, 7)), tensor([1, 0, 1])
    clean = solved(logits, label, alpha=1.0, mask=mask)
    label[1] = float("nan")
    assert_same(solved(logits, label, alpha=1.0, mask=mask), clean)


def test_a_class_masked_in_one_pass_only_is_infinitely_far():
    logits = normal(2, 3, 7)
    logits[0, 1, 2] = -float("inf")
    kl = r_drop_loss(logits, labels(3), alpha=1.0, reduction="none").kl.numpy()
    assert np.isinf(kl).tolist() == [False, True, False]


def test_smoothing_gives_nothing_to_a_class_masked_in_every_pass():
    logits, label = normal(2, 3, 7), labels(3, classes=6)
    spread = 0.9 * paddle.nn.functional.one_hot(label, 6).astype("float64") + 0.1 / 7
    expected = solved(logits[:, :, :6], spread, alpha=1.0)
    logits[:, :, 6] = -float("inf")
    got = solved(logits, label, alpha=1.0, label_smoothing=0.1)
    assert_same([*got[:3], got[3][:, :, :6]], expected)
    assert abs(got[3][:, :, 6]).max() < 1e-300  # Paddle's exp(-inf) is tiny, not 0


def test_accumulated_steps_add_up_to_the_whole_batch():
    logits, label = normal(2, 6, 7), labels(6)
    label[0] = -100
    loss, task_loss, kl, gradient = solved(logits, label, alpha=1.0)
    parts = [solved(logits[:, i : i + 2], label[i : i + 2], alpha=1.0, num_items=tensor(5)) for i in (0, 2, 4)]
    assert_same([sum(part[i] for part in parts) for i in range(3)], [loss, task_loss, kl])
    assert_same([np.concatenate([part[3] for part in parts], 1)], [gradient])


def test_a_last_axis_of_one_entry_is_welcome():
    logits, label = normal(2, 5, 7), labels(5)
    assert_same(solved(logits, label.unsqueeze(-1), alpha=1.0), solved(logits, label, alpha=1.0))
    flat, column = normal(2, 5), normal(5, 1, seed=1)
    expected = solved(flat, column.squeeze(-1), alpha=1.0, task="regression")
    assert_same(solved(flat, column, alpha=1.0, task="regression"), expected)
    assert_same(solved(flat.unsqueeze(-1), column.squeeze(-1), alpha=1.0, task="regression")[:3], expected[:3])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_accumulated_in_float32(dtype):
    logits = normal(2, 8, 1000, dtype="float32").astype(dtype)
    logits.stop_gradient = False
    out = r_drop_loss(logits, labels(8), alpha=1.0)
    out.loss.backward()
    exact = solved(logits.detach().astype("float64"), labels(8), alpha=1.0)
    assert out.loss.dtype == paddle.float32
    assert logits.grad.dtype == logits.dtype
    np.testing.assert_allclose(out.loss.numpy(), exact[0], rtol=1e-6)
    np.testing.assert_allclose(logits.grad.astype("float64").numpy(), exact[3], rtol=1e-2, atol=1e-6)


@pytest.mark.skipif(not paddle.device.is_compiled_with_cuda(), reason="Paddle's autocast acts on accelerators only")
@pytest.mark.parametrize("level", ["O1", "O2"])
def test_autocast_does_not_reach_inside(level):
    logits, label = normal(2, 8, 10, dtype="float32"), labels(8)
    plain = solved(logits, label, alpha=1.0, label_smoothing=0.1)
    with paddle.amp.auto_cast(level=level, dtype="bfloat16"):
        assert_same(solved(logits, label, alpha=1.0, label_smoothing=0.1), plain, rtol=0, atol=0)


@pytest.mark.filterwarnings("ignore:Tensor do not have 'place' interface:UserWarning")
def test_a_static_graph_gives_the_same():
    """With constants that float32 holds exactly, since Paddle's static graph keeps them so."""
    criterion = RDropLoss(1.5, label_smoothing=0.125)

    @paddle.jit.to_static(full_graph=True)
    def static(logits, label):
        return criterion(logits, label).loss

    logits, label = normal(2, 6, 8), labels(6)
    loss, _, _, gradient = solved(logits, label, alpha=1.5, label_smoothing=0.125)
    logits.stop_gradient = False
    value = static(logits, label)
    value.backward()
    assert_same([value.numpy(), logits.grad.numpy()], [loss, gradient])


def test_the_layer_calls_the_function():
    weight, logits, label = normal(7).abs(), normal(2, 6, 7), labels(6)
    criterion = RDropLoss(1.7, label_smoothing=0.1, class_weight=weight, ignore_index=2)
    mask = tensor([1] * 5 + [0])
    out = criterion(logits, label, mask=mask, num_items=3)
    options = {"alpha": 1.7, "label_smoothing": 0.1, "class_weight": weight, "ignore_index": 2}
    assert float(out.loss) == float(r_drop_loss(logits, label, mask=mask, num_items=3, **options).loss)
    assert not criterion.state_dict()
    assert "alpha=1.7" in repr(criterion)
    assert out.task_loss.stop_gradient
    assert out.kl.stop_gradient


BAD = {
    "hold 1 pass": ([1, 4, 7], [4], {}),
    "should be .passes, items, classes.": ([2, 4], [4], {}),
    "hold nothing": ([2, 4, 0], [4], {}),
    "need integer classes of shape .4,. or probabilities of shape .4, 7.": ([2, 4, 7], [5], {}),
    "need entries of shape .4, 7.": ([2, 4, 7], [4], {"task": "regression"}),
    "did you mean 'regression'": ([2, 4, 7], [4], {"task": "regresion"}),
    "alpha=-1": ([2, 4, 7], [4], {"alpha": -1}),
    "alpha=nan": ([2, 4, 7], [4], {"alpha": float("nan")}),
    "label_smoothing=2": ([2, 4, 7], [4], {"label_smoothing": 2}),
    "belong to task='classification'": ([2, 4, 7], [4, 7], {"task": "regression", "label_smoothing": 0.1}),
    "expected one a class: .7,.": ([2, 4, 7], [4], {"class_weight": np.ones(4)}),
    "reduction='average' is unknown": ([2, 4, 7], [4], {"reduction": "average"}),
    "drop one of them": ([2, 4, 7], [4], {"reduction": "sum", "num_items": 4}),
    "never one a class": ([2, 4, 4, 4], [4, 4], {"mask": np.ones((4, 4, 4))}),
    "other than 0 and 1": ([2, 4, 7], [4], {"mask": np.arange(4)}),
    "no valid item: all 4 labels": ([2, 4, 7], [4], {"mask": np.zeros(4)}),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_refused(message):
    shape, label_shape, options = BAD[message]
    options = {key: tensor(value) if isinstance(value, np.ndarray) else value for key, value in options.items()}
    with pytest.raises(InputError, match=message):
        r_drop_loss(paddle.zeros(shape), paddle.zeros(label_shape, "int64"), **{"alpha": 1.0} | options)


def test_a_class_out_of_range_is_named():
    with pytest.raises(InputError, match=r"label 7 is outside the 7 classes .* ignore_index=7"):
        r_drop_loss(normal(2, 3, 7), tensor([0, 7, 1]), alpha=1.0)
    with pytest.raises(InputError, match="label -1 is outside"):
        r_drop_loss(normal(2, 3, 7), tensor([0, -100, -1]), alpha=1.0)


def test_integer_logits_are_refused():
    with pytest.raises(InputError, match="int64 should be floating point"):
        r_drop_loss(paddle.zeros([2, 3, 7], "int64"), labels(3), alpha=1.0)


def test_examples_in_docstrings_run():
    failed, tried = doctest.testmod(rdrop)
    assert tried
    assert not failed


def test_torch_is_not_needed():
    code = "import sys; sys.modules['torch'] = None; from regdrop.integrations.paddle import r_drop_loss"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_the_example_trains_and_logs(tmp_path):
    pytest.importorskip("sklearn")
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    done = subprocess.run(
        [sys.executable, EXAMPLE, "--epochs", "2", "--logs", tmp_path], capture_output=True, text=True, check=True
    )
    assert float(re.fullmatch(r"alpha 1: test accuracy (\S+) of \1", done.stdout.strip())[1]) > 0.85
    log = events.EventAccumulator(str(tmp_path / "alpha-1-seed-0"), size_guidance={"tensors": 0}).Reload()
    loss, task_loss, kl = (
        np.array([event.tensor_proto.float_val[0] for event in log.Tensors(f"train/{part}")]) for part in PARTS
    )
    assert len(loss) == 64
    np.testing.assert_allclose(loss, task_loss + kl, rtol=1e-5)
    assert task_loss[-8:].mean() < task_loss[:8].mean() / 2
