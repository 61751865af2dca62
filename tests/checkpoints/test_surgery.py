"""Position embeddings resized as the original does, new heads, and biases that change nothing."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import zoom

from regdrop.checkpoints.surgery import resize_positions, with_image_size, with_new_head, with_qkv_bias
from regdrop.errors import CheckpointError, InputError


@settings(max_examples=30, deadline=None)
@given(old=st.integers(2, 20), new=st.integers(2, 30), width=st.integers(1, 5), seed=st.integers(0, 99))
def test_resizing_equals_the_originals_zoom(old, new, width, seed):
    positions = torch.randn(1, 1 + old * old, width, generator=torch.Generator().manual_seed(seed))
    grid = positions[0, 1:].reshape(old, old, width).numpy()
    # In its default mode the original gives 0 where rounding puts the last patch outside the grid, as from 16 to 30.
    expected = zoom(grid, (new / old, new / old, 1), order=1, mode="nearest").reshape(new * new, width)
    resized = resize_positions(positions, 1 + new * new)
    assert np.allclose(resized[0, 1:].numpy(), expected, atol=1e-5)
    assert torch.equal(resized[:, :1], positions[:, :1])


def test_the_b_16_grid_from_224_to_384_equals_the_originals_zoom():
    positions = torch.randn(1, 197, 768, generator=torch.Generator().manual_seed(0))
    expected = zoom(positions[0, 1:].reshape(14, 14, 768).numpy(), (24 / 14, 24 / 14, 1), order=1)
    assert np.allclose(resize_positions(positions, 577)[0, 1:].numpy(), expected.reshape(576, 768), atol=1e-5)


def test_the_same_size_changes_nothing():
    positions = torch.randn(1, 12, 3)
    assert resize_positions(positions, 12) is positions


@pytest.mark.parametrize(("old", "new"), [(12, 10), (10, 12), (1, 10), (10, 1)])
def test_patches_in_no_square_are_refused(old, new):
    with pytest.raises(CheckpointError, match=r"'pos_embed' has \d+ patches, which do not fill a square"):
        resize_positions(torch.randn(1, old, 3), new)


def test_another_image_size_touches_the_positions_alone(state, build):
    resized = with_image_size(state, 24)
    build(img_size=24).load_state_dict(resized)
    assert {key for key in state if resized[key] is not state[key]} == {"pos_embed"}


@pytest.mark.parametrize("size", [0, -4, 2, 13])
def test_sizes_that_are_no_multiple_of_the_patch_are_refused(state, size):
    with pytest.raises(InputError, match=f"image size {size} is no multiple of the patch of 4"):
        with_image_size(state, size)


def test_a_new_head_is_zero_and_the_old_state_untouched(state):
    before = state["head.weight"].clone()
    replaced = with_new_head(state, 3)
    assert replaced["head.weight"].shape == (3, 64)
    assert not replaced["head.weight"].any()
    assert not replaced["head.bias"].any()
    assert torch.equal(state["head.weight"], before)


def test_zero_biases_change_nothing(state, logits):
    without = {key: weight for key, weight in state.items() if "qkv.bias" not in key}
    assert torch.equal(logits(with_qkv_bias(without)), logits(without, qkv_bias=False))
    assert all(with_qkv_bias(state)[key] is weight for key, weight in state.items())
