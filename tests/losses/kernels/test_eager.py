"""Chunks are an affair of speed alone."""

import pytest
import torch

from regdrop.losses.kernels import Rows
from regdrop.losses.kernels import eager as module


@pytest.mark.parametrize("passes", [2, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("inplace", [False, True])
def test_the_size_of_chunks_changes_nothing(monkeypatch, passes, dtype, inplace):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(passes, 7, 11, generator=generator).to(dtype)
    target = torch.tensor([1, -100, 2, 3, 10, 0, 5])
    weight = torch.tensor([0.2, 0, 0.1, 0.3, 0.1, 0.2, 0.1])

    def run(elements):
        monkeypatch.setitem(module.CHUNK_ELEMENTS, "cpu", elements)
        given = logits.clone()
        grad = given if inplace else torch.empty_like(given)
        return module.eager(Rows(given, target, weight, 1.5, 0.1), grad), grad

    whole = run(1 << 20)
    for elements in (1, 50, 100):
        torch.testing.assert_close(run(elements), whole, rtol=1e-6 if dtype == torch.float32 else 2**-7, atol=1e-7)
