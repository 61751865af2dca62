"""Which items count and what each adds to the loss: the only place in regdrop where a mean is taken."""

from typing import Literal

import torch
from torch import Tensor

from regdrop.errors import InputError
from regdrop.losses.kernels import accumulation_dtype

Reduction = Literal["mean", "sum", "none"]


def valid_items(
    shape: torch.Size, mask: Tensor | None, target: Tensor | None, ignore_index: int | None
) -> Tensor | None:
    """True where an item counts, shape `shape`; None where all of them do.

    Args:
        shape: of the items.
        mask: true where the item counts, exactly of this shape.
        target: one entry an item, or None where the target cannot mark padding (probabilities).
        ignore_index: the target value that marks padding, or None.

    Raises:
        InputError: the mask has another shape or is neither boolean nor made of 0 and 1.
    """
    valid = None if target is None or ignore_index is None else target != ignore_index
    if mask is None:
        return valid
    mask = _checked_mask(mask, shape)
    return mask if valid is None else valid & mask


def item_weights(
    valid: Tensor | None,
    shape: torch.Size,
    like: Tensor,
    reduction: Reduction,
    num_items: int | Tensor | None,
) -> Tensor | float:
    """What one unit of an item's loss adds to the result, 0 where the item does not count; a number if all are alike.

        mean: 1 / (number of valid items), or 1 / num_items where that is given
        sum, none: 1

    Raises:
        InputError: the mean of no item at all was asked for, or `num_items` is not positive or without a mean.
    """
    if reduction not in ("mean", "sum", "none"):
        raise InputError(f"reduction={reduction!r} is unknown; use 'mean', 'sum' or 'none'")
    if num_items is not None and reduction != "mean":
        raise InputError(f"num_items={num_items} divides a mean, but reduction={reduction!r}; drop one of them")
    weight = 1.0 if valid is None else valid.to(accumulation_dtype(like.dtype))
    if reduction != "mean":
        return weight
    if num_items is not None:
        return _share(weight, num_items, shape, like)
    count = shape.numel() if isinstance(weight, float) else weight.sum()
    if (isinstance(count, int) or can_look(count)) and not count:
        raise InputError(
            f"no valid item: all {shape.numel()} targets are ignore_index or masked, so their mean is undefined; "
            "check the labels and the mask, or pass num_items (the count of the whole global batch)"
        )
    return weight / count


def reduced(values: Tensor, weight: Tensor | float, reduction: Reduction) -> Tensor:
    """Reduce per-item values by the weights of `item_weights`; an item of weight 0 never reaches the sum."""
    weighted = values * weight
    if isinstance(weight, Tensor):
        weighted = weighted.masked_fill(weight == 0, 0.0)
    return weighted if reduction == "none" else weighted.sum()


def can_look(tensor: Tensor) -> bool:
    """Whether reading a value costs no wait for an accelerator and no break in a compiled graph."""
    return tensor.is_cpu and not torch.compiler.is_compiling()


def _share(weight: Tensor | float, num_items: int | Tensor, shape: torch.Size, like: Tensor) -> Tensor | float:
    """The weights of a global batch of so many items; what cannot be looked at stays a tensor."""
    seen = not isinstance(num_items, Tensor) or can_look(num_items)
    if seen and not num_items > 0:
        raise InputError(
            f"num_items={num_items} must be at least 1: no item of the whole global batch counts; check the labels"
        )
    if isinstance(weight, float):
        return (
            weight / float(num_items)
            if seen
            else like.new_ones(shape, dtype=accumulation_dtype(like.dtype)) / num_items
        )
    return weight / num_items


def _checked_mask(mask: Tensor, shape: torch.Size) -> Tensor:
    if mask.shape != shape:
        raise InputError(
            f"mask has shape {tuple(mask.shape)}, but the items have {tuple(shape)}; pass one true or false an item "
            "(never one a class)"
        )
    if mask.dtype != torch.bool and can_look(mask) and not bool(((mask == 0) | (mask == 1)).all()):
        raise InputError("mask holds values other than 0 and 1; pass true where the item counts, as in attention_mask")
    return mask.to(torch.bool)
