"""Any output layer and the R-Drop loss together, a chunk of items at a time."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from regdrop.errors import InputError
from regdrop.losses import inputs
from regdrop.losses.head import FEWEST_ROWS
from regdrop.losses.rdrop import RDropOutput, r_drop_loss
from regdrop.losses.shapes import Float, Int


def chunked_r_drop_loss(
    hidden: Float[Tensor, " passes *dims"],
    layer: Callable[[Tensor], Tensor],
    target: Int[Tensor, " *items"],
    *,
    alpha: float,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    class_weight: Float[Tensor, " classes"] | None = None,
    num_items: int | Tensor | None = None,
) -> RDropOutput:
    """R-Drop of a classifier whose last layer is any function of one row, without ever holding all of its logits.

        z_ki = layer(h_ki)
        loss_i = sum_k CE(z_ki, y_i) + alpha * mean over pairs a<b of 1/2 [KL(p_a||p_b) + KL(p_b||p_a)]

    and its mean over the valid items. The layer runs on at most 256 rows at once; it runs again in backward, with the
    same random numbers, so that beyond the gradients memory is that of one such chunk.

    Args:
        hidden: what the layer is applied to, one slice a pass, `(K, N, D)` or `(K, B, T, D)`; K >= 2.
        layer: `(rows, D) -> (rows, V)` logits or log-probabilities, each row by itself.
        target: integer classes `(N,)` or `(B, T)`.
        alpha: weight of the divergence; see `r_drop_loss`.
        ignore_index: target value that marks padding; such items never meet the layer.
        label_smoothing: mass spread evenly over the classes.
        class_weight: multiplies each class's cross-entropy, `(V,)`.
        num_items: divide by this instead of the number of valid items.

    Returns:
        `RDropOutput(loss, task_loss, kl)` in float32 (float64 for float64).

    Raises:
        InputError: a target of another shape; otherwise see `r_drop_loss`.

    Source: Eq. 2 to 4 of arXiv 2106.14448.

    Relations: equals `r_drop_loss(layer(hidden), target, ...)`; for a linear layer `linear_r_drop_loss` is faster.

    Example:
        >>> hidden = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]], requires_grad=True)
        >>> out = chunked_r_drop_loss(hidden, lambda rows: rows.log_softmax(-1), torch.tensor([1]), alpha=1.0)
        >>> out.loss.backward()
        >>> print(f"{out.loss:.3f} = {out.task_loss:.3f} + 1.0 * {out.kl:.3f}")
        2.089 = 1.627 + 1.0 * 0.462
    """
    inputs.check_passes(hidden, 3, "(passes, items, features)", "hidden states")
    if target.shape != hidden.shape[1:-1]:
        raise InputError(f"target has shape {tuple(target.shape)}, but the items have {tuple(hidden.shape[1:-1])}")
    passes, rows, labels = hidden.shape[0], hidden.flatten(1, -2), target.reshape(-1)
    counted = (labels != ignore_index).nonzero().squeeze(-1)
    if num_items is None and len(counted):
        num_items = len(counted)

    def share(index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits = layer(rows.index_select(1, index).flatten(0, 1))
        out = r_drop_loss(
            logits.view(passes, -1, logits.shape[-1]),
            labels[index],
            alpha=alpha,
            label_smoothing=label_smoothing,
            class_weight=class_weight,
            num_items=num_items,
        )
        return out.loss, out.task_loss, out.kl

    chunks = torch.split(counted, max(1, FEWEST_ROWS // passes))
    shares = [checkpoint(share, index, use_reentrant=False) for index in chunks]
    return RDropOutput(*(torch.stack(part).sum() for part in zip(*shares, strict=True)))
