"""Which items count and what each adds to the loss: the only place here where a mean is taken."""

from typing import Literal

import paddle
from paddle import Tensor

from regdrop.errors import InputError
from regdrop.integrations.paddle.inputs import can_look

Reduction = Literal["mean", "sum", "none"]


def valid_items(items: list[int], mask: Tensor | None, unignored: Tensor | None) -> Tensor | None:
    """True where an item counts, shape `items`; None where all of them do.

    Args:
        items: the shape of the items.
        mask: true or 1 where the item counts, exactly of this shape.
        unignored: true where the label is not `ignore_index`, or None where labels cannot mark padding.

    Raises:
        InputError: the mask has another shape or holds something other than 0 and 1.
    """
    if mask is None:
        return unignored
    if list(mask.shape) != items:
        raise InputError(
            f"mask has shape {tuple(mask.shape)}, but the items have {tuple(items)}; pass one true or false an item "
            "(never one a class)"
        )
    if mask.dtype != paddle.bool and can_look(mask) and not bool(((mask == 0) | (mask == 1)).all()):
        raise InputError("mask holds values other than 0 and 1; pass true where the item counts, as in attention_mask")
    mask = mask.astype("bool")
    return mask if unignored is None else unignored & mask


def valid_part(tensor: Tensor, valid: Tensor | None) -> Tensor:
    """The tensor with 0 at items that do not count, so that their content, be it NaN, reaches nothing."""
    if valid is None:
        return tensor
    return paddle.where(valid, tensor, paddle.zeros([1], tensor.dtype))


def item_weight(valid: Tensor | None, like: Tensor, reduction: Reduction, num_items: int | Tensor | None) -> Tensor:
    """What one unit of an item's loss adds to the result, 0 where the item does not count.

        mean: 1 / (number of valid items), or 1 / num_items where that is given
        sum, none: 1

    Raises:
        InputError: the mean of no item at all was asked for, or `num_items` is given without a mean.
    """
    if reduction not in ("mean", "sum", "none"):
        raise InputError(f"reduction={reduction!r} is unknown; use 'mean', 'sum' or 'none'")
    if num_items is not None and reduction != "mean":
        raise InputError(f"num_items={num_items} divides a mean, but reduction={reduction!r}; drop one of them")
    weight = paddle.ones_like(like) if valid is None else valid.astype(like.dtype)
    if reduction != "mean":
        return weight
    if num_items is not None:
        return weight / num_items
    count = weight.sum()
    if can_look(count) and float(count) == 0:
        raise InputError(
            f"no valid item: all {weight.size} labels are ignore_index or masked, so their mean is undefined; "
            "check the labels and the mask, or pass num_items (the count of the whole global batch)"
        )
    return weight / count


def reduced(values: Tensor, weight: Tensor, reduction: Reduction) -> Tensor:
    """Reduce per-item values by the weights of `item_weight`."""
    weighted = values * weight
    return weighted if reduction == "none" else weighted.sum()
