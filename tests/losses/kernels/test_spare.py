"""Buffers: which are there, and how large."""

import pytest
import torch

from regdrop.losses.kernels import Rows
from regdrop.losses.kernels.spare import Spare


def rows(passes=2, dtype=torch.float32):
    return Rows(torch.empty(passes, 8, 5, dtype=dtype), None, 1.0)


def half(whole):
    return Rows(whole.logits[:, :4], None, 1.0)


def test_one_chunk_makes_its_own():
    whole = rows()
    spare = Spare.of(whole, whole, None)
    assert spare == (None, False, None, (None,), None)
    assert spare.first(8) is spare


@pytest.mark.parametrize(("passes", "pairs"), [(2, 1), (3, 3)])
def test_several_chunks_share_theirs_and_the_last_takes_a_part(passes, pairs):
    whole = rows(passes)
    spare = Spare.of(whole, half(whole), None)
    assert spare.prob.shape == (passes, 4, 5)
    assert spare.first(4) is spare
    last = spare.first(3)
    assert [one.shape for one in (last.prob, last.product, *last.differences)] == [
        (passes, 3, 5),
        *[(3, 5)] * (pairs + 1),
    ]
    assert last.product.data_ptr() == spare.product.data_ptr()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("passes", [2, 3])
@pytest.mark.parametrize("inplace", [False, True])
def test_probabilities_of_two_passes_wait_where_their_gradient_goes(dtype, passes, inplace):
    whole = rows(passes, dtype)
    part = half(whole)
    spare = Spare.of(whole, part, part.logits if inplace else torch.empty_like(part.logits))
    assert spare.lent == (dtype == torch.float32 and passes == 2 and not inplace)
    assert (spare.prob is None) == spare.lent
    assert (spare.wide is None) == (dtype == torch.float32)
