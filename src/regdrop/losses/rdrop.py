"""The R-Drop loss: the function, its module, and the parts it returns."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from regdrop.errors import InputError, nearest
from regdrop.losses.classification import classification_rows
from regdrop.losses.fused import fused_rows
from regdrop.losses.kernels.dispatch import Backend
from regdrop.losses.pointwise import TERMS, pointwise_parts
from regdrop.losses.reduction import Reduction
from regdrop.losses.shapes import Bool, Float, Int, Num

Task = Literal["classification", "regression", "multilabel"]


@dataclass(frozen=True, slots=True)
class RDropOutput:
    """The parts of one R-Drop loss: `loss = task_loss + alpha * kl`.

    Attributes:
        loss: what to call backward on.
        task_loss: the task's loss summed over the passes, reduced as `loss`; detached, for logging.
        kl: the divergence between passes (Eq. 2), reduced as `loss`; detached. With `reduction="mean"` it is nats per
            item, comparable between runs, batch sizes and implementations.
    """

    loss: Tensor
    task_loss: Tensor
    kl: Tensor


def r_drop_loss(
    logits: Float[Tensor, " passes *dims"],
    target: Num[Tensor, " *target_dims"],
    *,
    alpha: float,
    task: Task = "classification",
    ignore_index: int = -100,
    mask: Bool[Tensor, " *mask_dims"] | Int[Tensor, " *mask_dims"] | None = None,
    label_smoothing: float = 0.0,
    class_weight: Float[Tensor, " classes"] | None = None,
    reduction: Reduction = "mean",
    num_items: int | Tensor | None = None,
    backend: Backend = "auto",
    inplace: bool = False,
) -> RDropOutput:
    """R-Drop: the task loss of every pass, plus alpha times the symmetric divergence between passes.

        loss_i = sum_k CE(z_ki, y_i) + alpha * mean over pairs a<b of 1/2 [KL(p_a||p_b) + KL(p_b||p_a)]

    and its mean over the valid items. Batch size, padding, accumulation and processes do not move it.

    Args:
        logits: scores before the softmax or sigmoid, one slice a pass: classification `(K, N, C)` or `(K, B, T, V)`,
            regression `(K, N)` or `(K, N, D)`, multi-label `(K, N, L)`; K >= 2, any floating dtype.
        target: classification: integer classes `(N,)` or `(B, T)`, or probabilities `(N, C)` or `(B, T, V)`;
            regression and multi-label: the shape of one pass (every entry is an item).
        alpha: weight of the divergence, in this library's one convention; `paper_alpha` translates others.
        task: "classification"; "regression": `sum_k (z_k - y)^2` and `mean over pairs (z_a - z_b)^2`;
            "multilabel": binary cross-entropies and the KL of Bernoulli distributions.
        ignore_index: integer or multi-label target value that marks padding; not applied to regression.
        mask: true where the item counts (as in attention_mask), the shape of the items, never of the classes.
        label_smoothing: mass spread evenly over the classes, as in `torch.nn.functional.cross_entropy`;
            classification only.
        class_weight: multiplies each class's cross-entropy; classification only. The mean still divides by the number
            of items (torch divides by the sum of weights, which depends on how a batch is split).
        reduction: "mean" over valid items, "sum", or "none": one value an item, 0 where it does not count.
        num_items: divide by this instead of the number of valid items: their count in the whole global batch, under
            gradient accumulation or several processes.
        backend: "eager": plain PyTorch; "native": C++, built on first use, CPU alone (float16 is left to eager);
            "compile": `torch.compile`; "auto": native on the CPU and compile on CUDA where they can be had, else eager.
        inplace: let the gradient overwrite the logits' buffer; the logits are lost, and in float16 also those entries
            of the gradient that are small before a gradient scaler multiplies it.

    Returns:
        `RDropOutput(loss, task_loss, kl)` in float32 (float64 for float64 logits); half precision is accumulated in
        float32.

    Raises:
        InputError: shapes that do not fit, one pass only, a target out of range, or a mean over no item.
        UnsupportedError: on backward, for a second derivative or a second backward.

    Source: Eq. 2 to 4 of arXiv 2106.14448; regression: appendix A.4.

    Relations: with `alpha=0` this is the plain loss of a doubled batch, summed over passes: twice the usual mean.

    Example:
        >>> import torch
        >>> z = torch.tensor([[[0.0, 0.0]], [[0.0, 1.0]]], requires_grad=True)
        >>> out = r_drop_loss(z, torch.tensor([1]), alpha=1.0)
        >>> out.loss.backward()
        >>> print(f"{out.loss:.3f} = {out.task_loss:.3f} + 1.0 * {out.kl:.3f}")
        1.122 = 1.006 + 1.0 * 0.116
    """
    if task == "classification":
        rows, items = classification_rows(
            logits, target, alpha, ignore_index, mask, label_smoothing, class_weight, reduction, num_items
        )
        return shaped(fused_rows(rows, backend=backend, inplace=inplace), items, reduction)
    if task not in TERMS:
        raise InputError(f"unknown task {task!r}: {nearest(task, ['classification', *TERMS])}")
    _refuse_class_options(task, label_smoothing, class_weight)
    return RDropOutput(*pointwise_parts(task, logits, target, alpha, ignore_index, mask, reduction, num_items))


class RDropLoss(nn.Module):
    """`r_drop_loss` as a module: stores the arguments under their own names and calls the function.

    Args, shapes, masks, errors and source: see `r_drop_loss`.

    Example:
        >>> import torch
        >>> criterion = RDropLoss(alpha=1.0, label_smoothing=0.1)
        >>> out = criterion(torch.zeros(2, 4, 10), torch.tensor([0, 1, 2, 3]))
        >>> print(f"{out.loss:.4f}, kl {out.kl:.4f}")
        4.6052, kl 0.0000
    """

    class_weight: Tensor | None

    def __init__(
        self,
        alpha: float,
        *,
        task: Task = "classification",
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        class_weight: Float[Tensor, " classes"] | None = None,
        reduction: Reduction = "mean",
        backend: Backend = "auto",
        inplace: bool = False,
    ) -> None:
        super().__init__()
        self.alpha = alpha
        self.task: Task = task
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        self.register_buffer("class_weight", class_weight, persistent=False)
        self.reduction: Reduction = reduction
        self.backend: Backend = backend
        self.inplace = inplace

    def forward(
        self,
        logits: Float[Tensor, " passes *dims"],
        target: Num[Tensor, " *target_dims"],
        *,
        mask: Bool[Tensor, " *mask_dims"] | Int[Tensor, " *mask_dims"] | None = None,
        num_items: int | Tensor | None = None,
    ) -> RDropOutput:
        """Compute the loss of stacked passes; see `r_drop_loss`."""
        return r_drop_loss(
            logits,
            target,
            alpha=self.alpha,
            task=self.task,
            ignore_index=self.ignore_index,
            mask=mask,
            label_smoothing=self.label_smoothing,
            class_weight=self.class_weight,
            reduction=self.reduction,
            num_items=num_items,
            backend=self.backend,
            inplace=self.inplace,
        )

    def extra_repr(self) -> str:
        """Show what the loss was built with."""
        return f"alpha={self.alpha}, task={self.task!r}, reduction={self.reduction!r}, backend={self.backend!r}"


def _refuse_class_options(task: str, label_smoothing: float, class_weight: Tensor | None) -> None:
    if label_smoothing or class_weight is not None:
        raise InputError(f"label_smoothing and class_weight belong to task='classification', not to task={task!r}")


def shaped(parts: tuple[Tensor, Tensor, Tensor], items: torch.Size, reduction: Reduction) -> RDropOutput:
    """Loss, task loss and divergence under their names; one value an item in the shape of the items."""
    return RDropOutput(*(part.reshape(items) for part in parts) if reduction == "none" else parts)
