"""Every item stands in exactly one chunk, with all that belongs to it."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from regdrop.losses.kernels import Rows
from regdrop.losses.kernels.chunks import chunks


@given(st.integers(1, 4), st.integers(0, 50), st.integers(1, 50), st.integers(1, 2000), st.booleans())
def test_every_item_once(passes, items, classes, elements, alike):
    logits = torch.empty(1, 1, 1).expand(passes, items, classes)
    numbers = torch.arange(items)
    rows = Rows(logits, numbers, 0.5 if alike else numbers.float())
    parts = list(chunks(rows, numbers.view(1, -1, 1).expand(logits.shape), {"cpu": elements}))
    assert [i for part, _ in parts for i in part.target.tolist()] == list(range(items))
    for part, grad in parts:
        assert part.logits.shape == grad.shape == (passes, len(part.target), classes)
        assert part.logits.numel() <= max(elements, passes * classes)
        assert torch.equal(grad[0, :, 0], part.target)
        assert part.weight == 0.5 if alike else torch.equal(part.weight, part.target.float())
