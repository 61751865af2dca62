"""The heads whose items are single numbers: regression and multi-label."""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from regdrop.losses import inputs
from regdrop.losses.kernels import accumulation_dtype
from regdrop.losses.reduction import Reduction, item_weights, reduced, valid_items
from regdrop.losses.shapes import Float, Num


def pointwise_parts(
    task: str,
    logits: Tensor,
    target: Tensor,
    alpha: float,
    ignore_index: int,
    mask: Tensor | None,
    reduction: Reduction,
    num_items: int | Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Loss, task loss and divergence of a regression or multi-label batch, reduced; the last two detached.

    Args: as of `r_drop_loss`; `task` is one of `TERMS`.

    Raises:
        InputError: as `r_drop_loss`.
    """
    inputs.check_alpha(alpha)
    inputs.check_passes(logits, 2, "(passes, items)")
    target = inputs.same_shape(logits, target, task)
    valid = valid_items(target.shape, mask, target, ignore_index if task == "multilabel" else None)
    if task == "multilabel":
        inputs.check_unit(target, valid)
    task_loss, kl = TERMS[task](logits, target)
    weight = item_weights(valid, target.shape, kl, reduction, num_items)
    loss = reduced(task_loss + alpha * kl, weight, reduction)
    return loss, reduced(task_loss.detach(), weight, reduction), reduced(kl.detach(), weight, reduction)


def regression_terms(
    outputs: Float[Tensor, " passes *items"], target: Num[Tensor, " *items"]
) -> tuple[Float[Tensor, " *items"], Float[Tensor, " *items"]]:
    """Squared errors summed over the passes, and the mean over pairs of the squared distance of two passes.

        task = sum_k (z_k - y)^2        divergence = mean over pairs a<b of (z_a - z_b)^2

    The paper's appendix A.4 replaces the KL of a regression by the MSE of the two outputs; no 1/2 is applied.
    """
    outputs = outputs.to(accumulation_dtype(outputs.dtype))
    task = mse_loss(outputs, target.to(outputs.dtype).expand_as(outputs), reduction="none").sum(0)
    return task, squared_distance(outputs)


def squared_distance(outputs: Float[Tensor, " passes *items"]) -> Float[Tensor, " *items"]:
    """The mean over pairs a<b of (z_a - z_b)^2, which is 2 / (K - 1) sum_a (z_a - mean z)^2: linear in K."""
    return (outputs - outputs.mean(0)).square().sum(0) * (2 / (outputs.shape[0] - 1))


def multilabel_terms(
    logits: Float[Tensor, " passes *items"], target: Num[Tensor, " *items"]
) -> tuple[Float[Tensor, " *items"], Float[Tensor, " *items"]]:
    """Binary cross-entropies summed over the passes, and the symmetric KL of two Bernoulli distributions.

        task = sum_k BCE(z_k, y)        divergence = mean over pairs a<b of 1/2 (p_a - p_b)(z_a - z_b)

    with p = sigmoid(z). A label masked (-inf) in every pass contributes 0 to the divergence.
    """
    logits = logits.to(accumulation_dtype(logits.dtype))
    # -inf - -inf is NaN; two equal and very low logits cancel.
    logits = logits.masked_fill((logits == -torch.inf).all(0), torch.finfo(logits.dtype).min / 1e3)
    task = binary_cross_entropy_with_logits(logits, target.to(logits.dtype).expand_as(logits), reduction="none").sum(0)
    prob = logits.sigmoid()
    # The mean over pairs of 1/2 (p_a - p_b)(z_a - z_b) is 1 / (K - 1) sum_a (p_a - mean p)(z_a - mean z).
    return task, ((prob - prob.mean(0)) * (logits - logits.mean(0))).sum(0) / (logits.shape[0] - 1)


TERMS = {"regression": regression_terms, "multilabel": multilabel_terms}
