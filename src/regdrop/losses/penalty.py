"""What may pull the passes together in the place of R-Drop's KL: the penalties that it is compared with."""

from typing import Literal

import torch
from torch import Tensor

from regdrop.errors import InputError, UnsupportedError
from regdrop.losses import inputs
from regdrop.losses.divergence import directed_kl
from regdrop.losses.kernels import accumulation_dtype
from regdrop.losses.pointwise import squared_distance
from regdrop.losses.rdrop import Task
from regdrop.losses.reduction import item_weights, reduced, valid_items
from regdrop.losses.shapes import Float, Num

PenaltyName = Literal["kl", "logit_mse", "full_kl"]


def mean_penalty(
    logits: Float[Tensor, " passes *dims"],
    target: Num[Tensor, " *target_dims"],
    full: Float[Tensor, " *full_dims"] | None = None,
    *,
    task: Task = "classification",
    ignore_index: int = -100,
    num_items: int | Tensor | None = None,
) -> Float[Tensor, ""]:
    """How far the passes are from each other's logits or, with `full`, from what the full model predicts.

        without:  mean over pairs a<b of 1/C sum_j (z_aj - z_bj)^2
        with:     mean over k of KL(p || p_k),   p = softmax(full), which carries no gradient

    as the mean over the valid items, which are those of `r_drop_loss`. A label of a multi-label head is an item of one
    class and of a Bernoulli distribution. A class that is -inf in every pass adds nothing.

    Args:
        logits: scores before the softmax or sigmoid, one slice a pass, as for `r_drop_loss`.
        target: as for `r_drop_loss`; only which of its entries count is looked at.
        full: scores of the full model, dropout off; the shape of one pass.
        task: "classification" or "multilabel".
        ignore_index: target value that marks padding.
        num_items: divide by this instead of the number of valid items.

    Returns:
        A scalar in float32 (float64 for float64 logits).

    Raises:
        InputError: fewer than two passes, `full` of another shape, or no valid item.
        UnsupportedError: a regression, which has neither classes nor a distribution.

    Source: section 2.4 of arXiv 2106.14448 sets R-Drop against both. The squared distance of logits is that of
    fraternal dropout, arXiv 1711.00066; the distance from the full model that of expectation-linear dropout, arXiv
    1609.08017, here between distributions in the place of hidden states.

    Relations: added with a weight to `r_drop_loss(..., alpha=0)`, it takes the place of the symmetric KL.

    Example:
        >>> z = torch.tensor([[[0.0, 0.0]], [[0.0, 1.0]]])
        >>> mean_penalty(z, torch.tensor([1])), mean_penalty(z, torch.tensor([1]), torch.tensor([[0.0, 0.0]]))
        (tensor(0.5000), tensor(0.0601))
    """
    if task == "regression":
        raise UnsupportedError(
            "a regression has no logits over classes to compare; penalty='kl' is the squared distance of its passes"
        )
    inputs.check_passes(logits, 2, "(passes, items)")
    if full is not None and full.shape != logits.shape[1:]:
        raise InputError(
            f"the full model gave logits of shape {tuple(full.shape)}, but one pass has {tuple(logits.shape[1:])}; "
            "penalty='full_kl' needs a model that returns the same in eval mode"
        )
    if task == "multilabel":
        target = inputs.same_shape(logits, target, task)
        logits, full = _as_classes(logits, full)
    items = logits.shape[1:-1]
    logits = logits.to(accumulation_dtype(logits.dtype))
    values = _distance(logits) if full is None else _divergence(logits, full.to(logits.dtype))
    valid = valid_items(items, None, target if target.shape == items else None, ignore_index)
    return reduced(values, item_weights(valid, items, values, "mean", num_items), "mean")


def _distance(logits: Tensor) -> Tensor:
    """The mean over classes and pairs of the squared difference, for every item."""
    return squared_distance(logits.masked_fill((logits == -torch.inf).all(0), 0.0)).mean(-1)


def _divergence(logits: Tensor, full: Tensor) -> Tensor:
    """The mean over passes of the KL from the full model, for every item."""
    return directed_kl(full.detach().log_softmax(-1), logits.log_softmax(-1)).mean(0)


def _as_classes(logits: Tensor, full: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """A label as an item: its score for a distance, the two classes of its Bernoulli distribution for a divergence."""
    if full is None:
        return logits.unsqueeze(-1), None
    return torch.stack([logits, torch.zeros_like(logits)], -1), torch.stack([full, torch.zeros_like(full)], -1)
