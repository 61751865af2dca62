"""Checks of what users pass, before any arithmetic: each refusal echoes the input and says the fix."""

import torch
from torch import Tensor

from regdrop.errors import InputError
from regdrop.losses.reduction import can_look

# Half-precision probabilities are rounded one by one.
SUM_TOLERANCE = 1e-2


def check_passes(stack: Tensor, min_ndim: int, layout: str, name: str = "logits") -> None:
    """Refuse logits, or hidden states, that are not a stack of at least two floating-point passes.

    Raises:
        InputError: too few dimensions, one pass only, an empty last dimension, or an integer dtype.
    """
    shape = stack.shape
    if len(shape) < min_ndim:
        raise InputError(
            f"{name} of shape {tuple(shape)} should be {layout}: stack the passes with torch.stack([z1, z2])"
        )
    if shape[0] < 2:
        raise InputError(
            f"{name} of shape {tuple(shape)} hold {shape[0]} pass; R-Drop compares at least two: "
            "run the model twice in train mode and torch.stack([z1, z2]), or use paired_forward(model, ...)"
        )
    if not stack.is_floating_point():
        raise InputError(f"{name} of dtype {stack.dtype} should be floating point")
    if shape[-1] == 0:
        raise InputError(f"{name} of shape {tuple(shape)} hold nothing in the last dimension")


def check_alpha(alpha: float) -> None:
    """Refuse a negative or non-finite alpha.

    Raises:
        InputError: alpha is negative, NaN or infinite.
    """
    if not 0 <= alpha < float("inf"):
        raise InputError(f"alpha={alpha} must be a finite number of at least 0; 0 turns the divergence off")


def class_target(logits: Tensor, target: Tensor) -> Tensor:
    """Flatten a classification target to `(items,)` indices or `(items, classes)` probabilities.

    Raises:
        InputError: its shape is neither that of the items nor that of the items with classes.
    """
    one_pass, soft = logits.shape[1:], target.is_floating_point()
    if target.shape == (one_pass if soft else one_pass[:-1]):
        return target.flatten(0, -2) if soft else target.flatten().long()
    raise InputError(
        f"target has shape {tuple(target.shape)} and dtype {target.dtype}, but logits of shape {tuple(logits.shape)} "
        f"need integer classes of shape {tuple(one_pass[:-1])} or probabilities of shape {tuple(one_pass)}"
    )


def are_classes(target: Tensor, classes: int, ignore_index: int) -> bool:
    """Whether it is quickly seen that every entry is a class in `[0, classes)` and none marks padding."""
    if not can_look(target) or not target.numel():
        return False
    ends = target.aminmax()
    lowest, highest = ends.min.item(), ends.max.item()
    return lowest >= 0 and highest < classes and not lowest <= ignore_index <= highest


def check_range(target: Tensor, valid: Tensor | None, classes: int) -> None:
    """Refuse a class outside `[0, classes)` among the valid items.

    On an accelerator and in a compiled graph nothing is read back: there the indexing itself asserts.

    Raises:
        InputError: names the first such class.
    """
    if not can_look(target):
        return
    wrong = (target < 0) | (target >= classes)
    if valid is not None:
        wrong &= valid
    if bool(wrong.any()):
        value = int(target[wrong][0])
        raise InputError(
            f"target {value} is outside the {classes} classes of the logits (0 to {classes - 1}); "
            f"correct the label, or pass ignore_index={value} if it marks padding"
        )


def check_probabilities(target: Tensor, valid: Tensor | None) -> None:
    """Refuse a soft target `(items, classes)` whose valid rows do not sum to 1; on an accelerator nothing is read back.

    Raises:
        InputError: names the first such sum.
    """
    if not can_look(target):
        return
    sums = target.sum(-1, dtype=torch.float64)
    wrong = ~((sums - 1).abs() <= SUM_TOLERANCE)
    if valid is not None:
        wrong &= valid.reshape(-1)
    if bool(wrong.any()):
        raise InputError(
            f"a soft target sums to {sums[wrong][0].item():g} over the classes; pass probabilities that sum to 1, such "
            "as scores.softmax(-1), or task='multilabel' where several classes are true at once"
        )


def check_unit(target: Tensor, valid: Tensor | None) -> None:
    """Refuse a multi-label target outside `[0, 1]` among the valid entries; on an accelerator nothing is read back.

    Raises:
        InputError: names the first such entry.
    """
    if not can_look(target):
        return
    wrong = ~((target >= 0) & (target <= 1))
    if valid is not None:
        wrong &= valid
    if bool(wrong.any()):
        value = target[wrong][0].item()
        raise InputError(
            f"multi-label target {value:g} is outside 0 to 1; correct the label, or mask it if it marks padding"
        )


def same_shape(logits: Tensor, target: Tensor, task: str) -> Tensor:
    """Bring a regression or multi-label target to the shape of one pass; `(N,)` fits logits `(K, N, 1)`.

    Raises:
        InputError: the shapes differ (nothing is broadcast).
    """
    one_pass = logits.shape[1:]
    if target.shape == one_pass:
        return target
    if one_pass == (*target.shape, 1):
        return target.unsqueeze(-1)
    raise InputError(
        f"target has shape {tuple(target.shape)}, but one pass of the {task} logits has {tuple(one_pass)}; "
        "give both the same shape (nothing is broadcast)"
    )


def check_smoothing(label_smoothing: float) -> None:
    """Refuse label smoothing outside `[0, 1]`.

    Raises:
        InputError: it is outside that range.
    """
    if not 0 <= label_smoothing <= 1:
        raise InputError(f"label_smoothing={label_smoothing} must lie between 0 and 1")


def check_class_weight(class_weight: Tensor, classes: int, dtype: torch.dtype) -> Tensor:
    """Cast class weights to the accumulation dtype.

    Raises:
        InputError: there is not one weight a class.
    """
    if class_weight.shape != (classes,):
        raise InputError(f"class_weight has shape {tuple(class_weight.shape)}; expected one a class: ({classes},)")
    return class_weight.to(dtype)
