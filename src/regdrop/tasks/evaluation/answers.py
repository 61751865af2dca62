"""What is kept of each row while a classifier or a regression is evaluated: its loss, that it counts, its answer."""

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from regdrop.diagnostics.calibration import BINS, CalibrationSums


def class_answers(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The cross-entropy of each row, that it counts once, the class chosen for it, and that class's probability.

    Args:
        logits: `(rows, classes)`.
        labels: int64 `(rows,)`.

    Example:
        >>> class_answers(torch.zeros(1, 2), torch.tensor([1]))
        (tensor([0.6931]), tensor([1]), tensor([0]), tensor([0.5000]))
    """
    losses = cross_entropy(logits.float(), labels, reduction="none")
    return losses, torch.ones_like(labels), logits.argmax(-1), logits.float().softmax(-1).amax(-1)


def calibration_error(choices: NDArray[Any], confidences: NDArray[Any], labels: NDArray[Any]) -> float:
    """The expected calibration error of answers, a fraction, over 15 bins of confidence as `regdrop diagnose` has it.

    Args:
        choices: classes chosen, `(rows,)`.
        confidences: their probabilities, `(rows,)`.
        labels: the right classes, `(rows,)`.

    Source: Guo et al., arXiv 1706.04599, Eq. 3; see `Calibration`.

    Example:
        >>> import numpy as np
        >>> calibration_error(np.array([0, 1]), np.array([0.75, 0.75]), np.array([0, 0]))
        0.25
    """
    sums = CalibrationSums(BINS)
    sums.count(torch.from_numpy(confidences), torch.from_numpy(choices == labels))
    return sums.result().ece


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
