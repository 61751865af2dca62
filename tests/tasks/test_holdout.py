import pytest
import torch

from regdrop.errors import DataError
from regdrop.tasks.holdout import hold_out_indices


def test_every_item_is_on_one_side_and_the_seed_does_not_matter():
    left, held = hold_out_indices(100, 30)
    assert (len(left), len(held)) == (70, 30)
    assert sorted(torch.cat([left, held]).tolist()) == list(range(100))
    torch.manual_seed(7)
    again = hold_out_indices(100, 30)
    assert torch.equal(left, again[0])
    assert torch.equal(held, again[1])
    assert held.tolist() != sorted(held.tolist())


@pytest.mark.parametrize("count", [0, 100, 101])
def test_a_part_of_nothing_or_of_all_is_refused(count):
    with pytest.raises(DataError, match=f"cannot hold out {count} of 100 items; choose between 1 and 99"):
        hold_out_indices(100, count)
