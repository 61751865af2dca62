"""What is kept of each row while a classifier or a regression is evaluated: its loss, that it counts, its answer."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


def class_answers(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The cross-entropy of each row, that it counts once, and the class chosen for it.

    Args:
        logits: `(rows, classes)`.
        labels: int64 `(rows,)`.

    Example:
        >>> class_answers(torch.zeros(1, 2), torch.tensor([1]))
        (tensor([0.6931]), tensor([1]), tensor([0]))
    """
    losses = cross_entropy(logits.float(), labels, reduction="none")
    return losses, torch.ones_like(labels), logits.argmax(-1)


def number_answers(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The squared error of each row, that it counts once, and the number predicted for it.

    Args:
        logits: `(rows, 1)`.
        labels: float `(rows,)`.

    Example:
        >>> number_answers(torch.tensor([[2.0]]), torch.tensor([5.0]))
        (tensor([9.]), tensor([1]), tensor([2.]))
    """
    numbers = logits.squeeze(-1).float()
    return (numbers - labels).square(), torch.ones_like(labels, dtype=torch.long), numbers
