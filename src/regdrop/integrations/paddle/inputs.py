"""Checks of what users pass, before any arithmetic: each refusal echoes the input and says the fix."""

from typing import Literal, get_args

import paddle
from paddle import Tensor

from regdrop.errors import InputError, nearest

Task = Literal["classification", "regression", "multilabel"]


def check_options(alpha: float, task: str, label_smoothing: float, class_weight: Tensor | None) -> None:
    """Refuse arguments that are wrong whatever the tensors are.

    Raises:
        InputError: unknown task, negative or infinite alpha, smoothing outside `[0, 1]` or without classes.
    """
    if task not in get_args(Task):
        raise InputError(f"unknown task {task!r}: {nearest(task, get_args(Task))}")
    if not 0 <= alpha < float("inf"):
        raise InputError(f"alpha={alpha} must be a finite number of at least 0; 0 turns the divergence off")
    if not 0 <= label_smoothing <= 1:
        raise InputError(f"label_smoothing={label_smoothing} must lie between 0 and 1")
    if task != "classification" and (label_smoothing or class_weight is not None):
        raise InputError(f"label_smoothing and class_weight belong to task='classification', not to task={task!r}")


def check_passes(logits: Tensor, task: str) -> None:
    """Refuse logits that are not a stack of at least two floating-point passes.

    Raises:
        InputError: too few dimensions, one pass only, an empty last dimension, or an integer dtype.
    """
    shape = tuple(logits.shape)
    layout = "(passes, items, classes)" if task == "classification" else "(passes, items)"
    if len(shape) < layout.count(",") + 1:
        raise InputError(f"logits of shape {shape} should be {layout}: stack the passes with paddle.stack([z1, z2])")
    if shape[0] < 2:
        raise InputError(
            f"logits of shape {shape} hold {shape[0]} pass; R-Drop compares at least two: "
            "run the model twice in train mode and paddle.stack([z1, z2])"
        )
    if not paddle.is_floating_point(logits):
        raise InputError(f"logits of dtype {logits.dtype} should be floating point")
    if shape[-1] == 0:
        raise InputError(f"logits of shape {shape} hold nothing in the last dimension")


def fitted_label(logits: Tensor, label: Tensor, task: str) -> Tensor:
    """Bring a label to the shape of its items, or of one pass where it holds probabilities or values.

    A last axis of one entry is added or dropped; nothing else is broadcast.

    Raises:
        InputError: the shape does not fit.
    """
    one_pass, given = list(logits.shape[1:]), list(label.shape)
    hard = task == "classification" and not paddle.is_floating_point(label)
    wanted = one_pass[:-1] if hard else one_pass
    if given in (wanted, [*wanted, 1]) or [*given, 1] == wanted:
        return label.reshape(wanted)
    needed = f"entries of shape {tuple(one_pass)} (nothing is broadcast)"
    if task == "classification":
        needed = f"integer classes of shape {tuple(one_pass[:-1])} or probabilities of shape {tuple(one_pass)}"
    raise InputError(
        f"label has shape {tuple(given)} and dtype {label.dtype}, but logits of shape {tuple(logits.shape)} "
        f"need {needed}"
    )


def check_range(label: Tensor, valid: Tensor | None, classes: int) -> None:
    """Refuse a class outside `[0, classes)` among the valid items; read on a CPU only, where that costs no wait.

    Raises:
        InputError: names the first such class.
    """
    if paddle.is_floating_point(label) or not can_look(label):
        return
    wrong = (label < 0) | (label >= classes)
    if valid is not None:
        wrong = wrong & valid
    if bool(wrong.any()):
        value = int(label[wrong][0])
        raise InputError(
            f"label {value} is outside the {classes} classes of the logits (0 to {classes - 1}); "
            f"correct the label, or pass ignore_index={value} if it marks padding"
        )


def check_class_weight(class_weight: Tensor | None, classes: int) -> None:
    """Refuse class weights that are not one a class.

    Raises:
        InputError: in that case.
    """
    if class_weight is not None and list(class_weight.shape) != [classes]:
        raise InputError(f"class_weight has shape {tuple(class_weight.shape)}; expected one a class: ({classes},)")


def can_look(tensor: Tensor) -> bool:
    """Whether reading a value costs no wait for an accelerator and no break in a static graph."""
    return bool(paddle.in_dynamic_mode() and tensor.place.is_cpu_place())
