"""Which items of a data set are held out: the same ones in every run."""

import torch
from torch import Tensor

from regdrop.errors import DataError


def hold_out_indices(items: int, count: int) -> tuple[Tensor, Tensor]:
    """Choose `count` of `items` by a shuffle that is the same in every run, whatever its seed.

    Returns:
        Indices of what is left, in shuffled order, and of what is held out.

    Raises:
        DataError: there are not enough items.

    Example:
        >>> rest, held = hold_out_indices(10, 3)
        >>> len(rest), len(held), sorted(torch.cat([rest, held]).tolist()) == list(range(10))
        (7, 3, True)
    """
    if not 0 < count < items:
        raise DataError(f"cannot hold out {count} of {items} items; choose between 1 and {items - 1}")
    order = torch.randperm(items, generator=torch.Generator().manual_seed(0))
    return order[count:], order[:count]
