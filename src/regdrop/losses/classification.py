"""A classification batch as rows: checked, flattened, and every item with its weight."""

import torch
from torch import Tensor

from regdrop.losses import inputs
from regdrop.losses.kernels import Rows, accumulation_dtype
from regdrop.losses.reduction import Reduction, item_weights, valid_items


def classification_rows(
    logits: Tensor,
    target: Tensor,
    alpha: float,
    ignore_index: int,
    mask: Tensor | None,
    label_smoothing: float,
    class_weight: Tensor | None,
    reduction: Reduction,
    num_items: int | Tensor | None,
) -> tuple[Rows, torch.Size]:
    """Check a classification batch and flatten it to one row an item; also returns the shape of its items.

    Args: as of `r_drop_loss`.

    Raises:
        InputError: as `r_drop_loss`.
    """
    inputs.check_alpha(alpha)
    inputs.check_smoothing(label_smoothing)
    inputs.check_passes(logits, 3, "(passes, items, classes)")
    items, classes = logits.shape[1:-1], logits.shape[-1]
    labels = inputs.class_target(logits, target)
    valid = _valid(labels, mask, items, classes, ignore_index)
    weight = item_weights(valid, items, logits, reduction, num_items)
    if class_weight is not None:
        class_weight = inputs.check_class_weight(class_weight, classes, accumulation_dtype(logits.dtype))
    return Rows(
        logits if logits.ndim == 3 else logits.flatten(1, -2),
        labels,
        weight if isinstance(weight, float) else weight.reshape(-1),
        float(alpha),
        label_smoothing,
        class_weight,
        reduction != "none",
    ), items


def _valid(labels: Tensor, mask: Tensor | None, items: torch.Size, classes: int, ignore_index: int) -> Tensor | None:
    """Which items count, None where all do, having refused targets that do not fit the classes."""
    if labels.ndim == 2:
        valid = valid_items(items, mask, None, None)
        inputs.check_probabilities(labels, valid)
        return valid
    if mask is None and inputs.are_classes(labels, classes, ignore_index):
        return None
    valid = valid_items(items, mask, labels.view(items), ignore_index)
    inputs.check_range(labels.view(items), valid, classes)
    return valid
