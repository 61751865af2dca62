"""Chunks, layout and where probabilities wait are affairs of speed alone."""

from dataclasses import replace

import pytest
import torch

from regdrop.losses.kernels import Rows, spare
from regdrop.losses.kernels import eager as module

SIZES = (1 << 20, 1, 50, 100)  # logits a chunk: all, one row, two rows and four


@pytest.fixture(params=SIZES)
def chunk(request, monkeypatch):
    monkeypatch.setitem(module.CHUNK_ELEMENTS, "cpu", request.param)


def case(passes, dtype, summed=False, alike=False):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(passes, 7, 11, generator=generator).to(dtype)
    target = torch.tensor([1, 4 if alike else -100, 2, 3, 10, 0, 5])
    weight = 0.3 if alike else torch.tensor([0.2, 0, 0.1, 0.3, 0.1, 0.2, 0.1])
    return Rows(logits, target, weight, 1.5, 0.0 if alike else 0.1, summed=summed)


def in_float64(rows):
    """The same in one chunk, with probabilities and gradient apart."""
    weight = rows.weight if isinstance(rows.weight, float) else rows.weight.double()
    wide = replace(rows, logits=rows.logits.double(), weight=weight)
    grad = torch.empty_like(wide.logits)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(module.CHUNK_ELEMENTS, "cpu", SIZES[0])
        patch.setattr(spare, "_same_memory", lambda one, other: True)
        return module.eager(wide, grad), grad


@pytest.mark.usefixtures("chunk")
@pytest.mark.parametrize("passes", [2, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("alike", [False, True])
@pytest.mark.parametrize("summed", [False, True])
@pytest.mark.parametrize("where", ["apart", "in place", "classes apart"])
def test_the_size_of_chunks_and_the_place_of_the_gradient_change_nothing(passes, dtype, alike, summed, where):
    rows = case(passes, dtype, summed, alike)
    expected, gradient = in_float64(rows)
    if where == "classes apart":
        rows = replace(rows, logits=rows.logits.transpose(1, 2).contiguous().transpose(1, 2))
    grad = rows.logits if where == "in place" else torch.full_like(rows.logits, torch.nan)
    parts = module.eager(rows, grad)
    torch.testing.assert_close(parts, expected, rtol=2e-6, atol=1e-6, check_dtype=False)
    tolerance = 2**-8 if dtype == torch.bfloat16 else 2e-6
    torch.testing.assert_close(grad.double(), gradient, rtol=tolerance, atol=1e-6)


@pytest.mark.usefixtures("chunk")
def test_a_class_masked_in_one_pass_is_seen_before_the_gradient_is_written():
    rows = case(2, torch.float32, alike=True)
    rows.logits[0, 3, 7] = -torch.inf
    grad = torch.empty_like(rows.logits)
    _, task, kl = module.eager(rows, grad)
    assert kl.isinf().tolist() == [row == 3 for row in range(7)]
    assert task.isfinite().all()
    clean = torch.empty_like(grad)
    module.eager(case(2, torch.float32, alike=True), clean)
    others = [row for row in range(7) if row != 3]
    torch.testing.assert_close(grad[:, others], clean[:, others])
