"""The C++ kernel where vectors, blocks, storage types and threads begin and end."""

import subprocess
import sys

import pytest
import torch

from reference import classification, value_and_gradient
from regdrop.errors import UnsupportedError
from regdrop.losses.kernels import Rows
from regdrop.losses.kernels import native as module
from regdrop.losses.kernels.eager import eager
from regdrop.losses.kernels.native import native

EDGES = [1, 2, 3, 15, 16, 17, 100, 1023, 1024, 1025, 2048, 2049]


def normal(*shape, dtype=torch.float64, seed=0):
    return (3 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)).to(dtype)


def run(kernel, logits, target=None, **options):
    options.setdefault(
        "weight", torch.full((logits.shape[1],), 0.5, dtype=torch.promote_types(logits.dtype, torch.float32))
    )
    grad = torch.full_like(logits, torch.nan)
    return torch.stack(kernel(Rows(logits, target, **options), grad)), grad


def labels(items, classes):
    return torch.randint(classes, (items,), generator=torch.Generator().manual_seed(1))


@pytest.fixture(autouse=True)
def _eager_is_not_called(monkeypatch, request):
    """Here nothing may fall back, but where a test says so."""

    def refuse(rows, grad):
        raise AssertionError("fell back to the eager kernel")

    if "falls_back" not in request.node.name:
        monkeypatch.setattr(module, "eager", refuse)


@pytest.mark.parametrize("classes", EDGES)
@pytest.mark.parametrize("passes", [2, 3])
def test_ends_of_vectors_and_blocks(classes, passes):
    logits, target = normal(passes, 2, classes), labels(2, classes)
    target[-1] = classes - 1
    values, grad = run(native, logits, target, alpha=1.3)
    valid = torch.ones(2, dtype=torch.bool)
    _, task, kl, gradient = value_and_gradient(classification, logits.clone().requires_grad_(), target, valid, 1.3)
    torch.testing.assert_close(values.sum(1), torch.stack([task + 1.3 * kl, task, kl]), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(grad, gradient, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("classes", EDGES)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("soft", [False, True])
def test_float32_follows_float64(classes, smoothing, soft):
    logits, target = normal(2, 3, classes), labels(3, classes)
    if soft:
        target = normal(3, classes, seed=2).softmax(-1)
    weight = normal(classes, seed=3).abs()
    exact = run(native, logits, target, label_smoothing=smoothing, class_weight=weight)
    given = target.float() if soft else target
    got = run(native, logits.float(), given, label_smoothing=smoothing, class_weight=weight.float())
    torch.testing.assert_close(got, exact, rtol=2e-5, atol=1e-6, check_dtype=False)


@pytest.mark.parametrize("items", [1, 15, 16, 17, 33])
@pytest.mark.parametrize("classes", [2, 16])
@pytest.mark.parametrize("passes", [2, 3, 16])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_rows_in_lanes_are_as_they_are_alone(items, classes, passes, smoothing):
    """Where the classes are few, many rows are worked on at once; here each is beside every other kind."""
    logits, target = normal(passes, 2 * items, classes)[:, ::2], labels(items, classes)
    weight = normal(items, seed=4).abs()
    logits[:, ::5, 0] = -torch.inf
    weight[::3], target[::3], logits[:, ::3, 1] = 0, -100, torch.nan
    options = {"alpha": 0.7, "label_smoothing": smoothing, "class_weight": normal(classes, seed=3).abs()}
    got = run(native, logits, target, weight=weight, **options)
    found = [
        run(native, logits[:, i : i + 1], target[i : i + 1], weight=weight[i : i + 1], **options) for i in range(items)
    ]
    for whole, rows in zip(got, zip(*found, strict=True), strict=True):
        assert torch.equal(whole, torch.cat(rows, 1))
    torch.testing.assert_close(got, run(eager, logits, target, weight=weight, **options), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("classes", [3, 17, 32_000])
def test_bfloat16_is_rounded_once(classes):
    logits, target = normal(2, 3, classes, dtype=torch.bfloat16), labels(3, classes)
    weight = torch.full((3,), 0.5)
    values, grad = run(native, logits, target, weight=weight)
    exact, wide = run(native, logits.double(), target, weight=weight.double())
    torch.testing.assert_close(values.double(), exact, rtol=1e-6, atol=0)
    # Half a unit in the last place of bfloat16, and float32's own error beside it.
    assert ((grad.double() - wide).abs() <= wide.abs() * 2**-8 * 1.001 + 1e-9).all()


@pytest.mark.parametrize("lowest", [-torch.inf, torch.finfo(torch.float32).min, -1e9])
@pytest.mark.parametrize("masked", [slice(0, 1500), slice(1000, 1100), slice(2990, 3000), slice(1, 3000, 2)])
def test_masked_classes_anywhere(lowest, masked):
    logits, target = normal(2, 2, 3000, dtype=torch.float32), torch.tensor([2000, 2002])
    logits[..., masked] = lowest
    open_classes = logits[0, 0] > -1e8
    values, grad = run(native, logits, target)
    moved = (torch.cumsum(open_classes, 0) - 1)[target]
    exact, gradient = run(native, logits[..., open_classes].double(), moved)
    torch.testing.assert_close(values.double(), exact, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(grad[..., open_classes].double(), gradient, rtol=1e-4, atol=1e-7)
    assert not grad[..., ~open_classes].any()


@pytest.mark.parametrize("classes", [5, 1030])
def test_rows_of_nothing_but_the_lowest_number_are_uniform(classes):
    logits = torch.full((2, 1, classes), torch.finfo(torch.float32).min)
    values, grad = run(native, logits, torch.tensor([3]), weight=torch.ones(1))
    cost = 2 * torch.tensor(float(classes)).log()
    torch.testing.assert_close(values[:, 0], torch.tensor([cost, cost, 0.0]))
    torch.testing.assert_close(grad[0, 0, 4], torch.tensor(1 / classes))


@pytest.mark.parametrize("poison", [torch.nan, torch.inf])
@pytest.mark.parametrize(("classes", "place"), [(3, 0), (16, 15), (1030, 0), (1030, 1029)])
def test_not_a_number_stays_in_its_row_and_is_not_hidden(poison, classes, place):
    logits, target = normal(2, 3, classes, dtype=torch.float32), labels(3, classes)
    clean = run(native, logits, target)
    logits[0, 1, place] = poison
    values, grad = run(native, logits, target)
    assert values[:, 1].isnan().all()
    assert grad[0, 1].isnan().all()
    assert torch.equal(values[:, ::2], clean[0][:, ::2])
    assert torch.equal(grad[:, ::2], clean[1][:, ::2])


def test_items_of_weight_zero_are_not_looked_at():
    logits, target = normal(2, 3, 40, dtype=torch.float32), torch.tensor([1, -100, 39])
    logits[:, 1] = torch.nan
    values, grad = run(native, logits, target, weight=torch.tensor([0.5, 0.0, 0.5]))
    assert not values[:, 1].any()
    assert not grad[:, 1].any()
    assert values.isfinite().all()
    assert grad.isfinite().all()


def test_a_row_with_masked_classes_leaves_the_next_ones_as_they_are():
    """The kernel goes on carefully after such a row: same numbers."""
    logits, target = normal(2, 3, 2060, dtype=torch.float32), labels(3, 2060)
    clean = run(native, logits[:, 1:], target[1:])
    logits[:, 0, 7] = -torch.inf
    values, grad = run(native, logits, target)
    assert torch.equal(values[:, 1:], clean[0])
    assert torch.equal(grad[:, 1:], clean[1])


@pytest.mark.parametrize("classes", [5, 50])
def test_strides_of_passes_and_items(classes):
    logits, target = normal(4, 6, classes, dtype=torch.float32)[::2, 1::2], labels(3, classes)
    assert not logits.is_contiguous()
    got, expected = run(native, logits, target), run(native, logits.contiguous(), target)
    assert all(map(torch.equal, got, expected))


def test_value_alone():
    logits, target = normal(2, 5, 70, dtype=torch.float32), labels(5, 70)
    weight = torch.ones(5)
    value = torch.stack(native(Rows(logits, target, weight), None))
    assert torch.equal(value, run(native, logits, target, weight=weight)[0])


@pytest.mark.parametrize(("items", "classes"), [(600, 90), (6001, 3)])
def test_the_number_of_threads_changes_nothing(items, classes):
    logits, target = normal(2, items, classes, dtype=torch.float32), labels(items, classes)
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            results.append(run(native, logits, target))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(other, results[0], strict=True))


@pytest.mark.parametrize(
    "logits",
    [
        normal(2, 3, 8, dtype=torch.float16),
        normal(17, 3, 8, dtype=torch.float32),
        normal(2, 8, 3, dtype=torch.float32).transpose(1, 2),
    ],
    ids=["float16", "seventeen passes", "classes apart"],
)
def test_falls_back_to_eager(logits):
    assert not module.takes(logits)
    got, expected = run(native, logits, labels(3, 8)), run(eager, logits, labels(3, 8))
    assert all(map(torch.equal, got, expected))


def test_the_default_device_at_import_is_not_where_it_computes():
    program = (
        "import torch; torch.set_default_device('meta'); from regdrop import r_drop_loss; "
        "logits, target = torch.zeros(2, 1, 4, device='cpu'), torch.zeros(1, dtype=torch.long, device='cpu'); "
        "print(r_drop_loss(logits, target, alpha=1.0, backend='native').loss.item())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.startswith("2.7725"), done.stderr


def test_why_it_is_unavailable_falls_back_on_the_error(monkeypatch):
    def fail():
        raise UnsupportedError("no compiler")

    monkeypatch.setattr(module, "library", fail)
    module._entries.cache_clear()
    module.why_unavailable.cache_clear()
    try:
        assert str(module.why_unavailable()) == "no compiler"
    finally:
        module._entries.cache_clear()
        module.why_unavailable.cache_clear()
