"""Every transform is undone exactly by its inverse, and lays weights out as its kind of file has them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regdrop.checkpoints import transforms
from regdrop.checkpoints.geometry import Geometry
from regdrop.checkpoints.naming import BLOCK_ROWS, EMBEDDING_ROWS, HEAD_ROWS

LAYOUTS = [transforms.TIMM, transforms.OFFICIAL, transforms.PADDLE, transforms.GOOGLE]
ROWS = [*EMBEDDING_ROWS, *BLOCK_ROWS, *HEAD_ROWS]


@settings(max_examples=30, deadline=None)
@given(heads=st.integers(1, 4), of_a_head=st.integers(1, 4), hidden=st.integers(1, 9), patch=st.integers(1, 3))
@pytest.mark.parametrize("layout", LAYOUTS)
def test_reading_undoes_writing(layout, heads, of_a_head, hidden, patch):
    sizes = Geometry(heads * of_a_head, 1, hidden, heads, channels=3, patch=patch, tokens=5, classes=7)
    for row in ROWS:
        weight = torch.randn(sizes.shape(row))
        parts = layout[row.kind].write(weight, heads)
        assert torch.equal(layout[row.kind].read(parts), weight)
        again = layout[row.kind].write(layout[row.kind].read(parts), heads)
        assert all(torch.equal(one, two) for one, two in zip(parts, again, strict=True))


def test_google_keeps_the_outputs_of_a_head_together():
    """Row 3 * 4 + 1 of the fused weight's key third is head 3's output 1."""
    weight = torch.randn(3 * 16, 16)
    key = transforms.GOOGLE["qkv_weight"].write(weight, 4)[1]
    assert key.shape == (16, 4, 4)
    assert torch.equal(key[:, 3, 1], weight[16 + 3 * 4 + 1])


def test_google_convolutions_have_their_channels_last():
    weight = torch.randn(8, 3, 5, 5)
    assert transforms.GOOGLE["patches"].write(weight, 1)[0][2, 4, 1, 6] == weight[6, 1, 2, 4]


def test_paddle_transposes_every_linear_weight_and_no_other():
    turned = {kind for kind, transform in transforms.PADDLE.items() if transform is not transforms.TIMM[kind]}
    assert turned == {"linear", "qkv_weight", "heads_out"}
