"""The loss of models that predict tokens, row by row, so that padding cannot move it."""

from typing import Any

import numpy as np
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.data import Dataset
from transformers import EvalPrediction

from regdrop.passes.targets import IGNORE


def token_losses(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The summed cross-entropy of each row, and how many of its tokens count.

    Args:
        logits: `(rows, tokens, vocabulary)`.
        labels: `(rows, tokens)`; -100 does not count.

    Example:
        >>> import torch
        >>> token_losses(torch.zeros(2, 3, 4), torch.tensor([[1, 2, -100], [3, -100, -100]]))
        (tensor([2.7726, 1.3863]), tensor([2, 1]))
    """
    losses = cross_entropy(logits.flatten(0, 1).float(), labels.flatten(), reduction="none", ignore_index=IGNORE)
    return losses.view(labels.shape).sum(-1), (labels != IGNORE).sum(-1)


def perplexity(evaluation: EvalPrediction, _part: Dataset[Any]) -> dict[str, float]:
    """`exp(mean cross-entropy of a token)` over what `token_losses` kept of all rows."""
    losses, tokens = evaluation.predictions[:2]
    return {"perplexity": float(np.exp(np.sum(losses, dtype=float) / np.sum(tokens)))}
