"""Labels as a head means them, brought to the form the loss takes."""

import torch
from torch import Tensor
from torch.nn.functional import pad

from regdrop.losses.rdrop import Task
from regdrop.losses.reduction import valid_items
from regdrop.passes.heads import Head

IGNORE = -100


def loss_target(head: Head, logits: Tensor, target: Tensor) -> tuple[Tensor, int]:
    """The target of stacked logits, and the value in it that marks padding.

    Causal language models: label t + 1 stands at position t and the last position is padding, so the logits are
    neither sliced nor copied. Question answering: positions beyond the sequence are padding, as in transformers.

    Args:
        head: what the labels mean.
        logits: `(K, B, ...)`.
        target: the labels of one pass.

    Example:
        >>> loss_target(Head(shifts=True), torch.zeros(2, 1, 3, 9), torch.tensor([[4, 5, 6]]))
        (tensor([[   5,    6, -100]]), -100)
    """
    target = target.to(logits.device)
    if head.shifts:
        return pad(target, (0, 1), value=IGNORE)[..., 1:], IGNORE
    if len(head.logits) > 1:
        length = logits.shape[-1]
        return target.reshape(logits.shape[1:-1]).clamp(0, length), length
    if not target.is_floating_point() and target.numel() == logits.shape[1:-1].numel():
        return target.reshape(logits.shape[1:-1]), IGNORE
    return target, IGNORE


def count_items(task: Task, target: Tensor, classes: int, ignore_index: int) -> Tensor:
    """How many items count, as the loss counts them; a tensor, so that an accelerator is not waited for.

    Example:
        >>> count_items("classification", torch.tensor([1, -100, 2]), 3, -100)
        tensor(2)
    """
    soft = task == "classification" and target.is_floating_point()
    if soft or task == "regression":
        return torch.tensor(target.numel() // (classes if soft else 1), device=target.device)
    valid = valid_items(target.shape, None, target, ignore_index)
    return torch.tensor(target.numel(), device=target.device) if valid is None else valid.sum()
