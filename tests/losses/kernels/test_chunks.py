"""Every item stands in exactly one chunk."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from regdrop.losses.kernels.chunks import chunks


@given(st.integers(1, 4), st.integers(0, 50), st.integers(1, 50), st.integers(1, 2000))
def test_every_item_once(passes, items, classes, elements):
    logits = torch.empty(1, 1, 1).expand(passes, items, classes)
    parts = list(chunks(logits, {"cpu": elements}))
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(items))
    assert all((part.stop - part.start) * passes * classes <= max(elements, passes * classes) for part in parts)
