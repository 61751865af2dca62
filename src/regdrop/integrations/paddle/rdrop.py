"""The R-Drop loss of Paddle: the function, its layer, and the parts it returns."""

from dataclasses import dataclass

import paddle
from paddle import Tensor

from regdrop.integrations.paddle import inputs, terms
from regdrop.integrations.paddle.inputs import Task
from regdrop.integrations.paddle.reduction import Reduction, item_weight, reduced, valid_items, valid_part


@dataclass(frozen=True, slots=True)
class RDropOutput:
    """The parts of one R-Drop loss: `loss = task_loss + alpha * kl`.

    Attributes:
        loss: what to call backward on.
        task_loss: the task's loss summed over the passes, reduced as `loss`; detached, for logging.
        kl: the divergence between passes (Eq. 2), reduced as `loss`; detached.
    """

    loss: Tensor
    task_loss: Tensor
    kl: Tensor


def r_drop_loss(
    logits: Tensor,
    label: Tensor,
    *,
    alpha: float,
    task: Task = "classification",
    ignore_index: int = -100,
    mask: Tensor | None = None,
    label_smoothing: float = 0.0,
    class_weight: Tensor | None = None,
    reduction: Reduction = "mean",
    num_items: int | Tensor | None = None,
) -> RDropOutput:
    """R-Drop: the task loss of every pass, plus alpha times the symmetric divergence between passes.

        loss_i = sum_k CE(z_ki, y_i) + alpha * mean over pairs a<b of 1/2 [KL(p_a||p_b) + KL(p_b||p_a)]

    and its mean over the valid items.

    Args:
        logits: scores before the softmax or sigmoid, one slice a pass: classification `(K, N, C)` or `(K, B, T, V)`,
            regression `(K, N)` or `(K, N, D)`, multi-label `(K, N, L)`; K >= 2, any floating dtype.
        label: classification: integer classes `(N,)` or `(B, T)`, or probabilities `(N, C)` or `(B, T, V)`;
            regression and multi-label: the shape of one pass (every entry is an item). A last axis of one entry may
            be there or not, as in Paddle's own losses.
        alpha: weight of the divergence, in this library's one convention; `regdrop alpha` translates others.
        task: "classification"; "regression": `sum_k (z_k - y)^2` and `mean over pairs (z_a - z_b)^2`;
            "multilabel": binary cross-entropies and the KL of Bernoulli distributions.
        ignore_index: integer or multi-label value that marks padding; not applied to regression.
        mask: true (or 1) where the item counts, the shape of the items, never of the classes.
        label_smoothing: mass spread evenly over the classes; classification only.
        class_weight: `(C,)`, multiplies each class's cross-entropy; classification only. The mean still divides by the
            number of items (`paddle.nn.CrossEntropyLoss` divides by the sum of weights).
        reduction: "mean" over valid items, "sum", or "none": one value an item, 0 where it does not count.
        num_items: divide by this instead of the number of valid items: their count in the whole global batch, under
            gradient accumulation or several processes.

    Returns:
        `RDropOutput(loss, task_loss, kl)` in float32 (float64 for float64 logits), inside `paddle.amp.auto_cast` too.
        A class that is -inf in every pass contributes 0.

    Raises:
        InputError: shapes that do not fit, one pass only, a class out of range, or a mean over no item.

    Source: Eq. 2 to 4 of arXiv 2106.14448; regression: appendix A.4.

    Example:
        >>> z = paddle.to_tensor([[[0.0, 0.0]], [[0.0, 1.0]]], stop_gradient=False)
        >>> out = r_drop_loss(z, paddle.to_tensor([1]), alpha=1.0)
        >>> out.loss.backward()
        >>> print(f"{float(out.loss):.4f} = {float(out.task_loss):.4f} + 1.0 * {float(out.kl):.4f}")
        1.1219 = 1.0064 + 1.0 * 0.1155
    """
    inputs.check_options(alpha, task, label_smoothing, class_weight)
    inputs.check_passes(logits, task)
    label = inputs.fitted_label(logits, label, task)
    valid = _valid(logits, label, task, ignore_index, mask)
    with paddle.amp.auto_cast(enable=False):
        logits = terms.accumulated(logits)
        if task == "classification":
            task_loss, kl = _class_terms(logits, label, valid, label_smoothing, class_weight)
        else:
            label = valid_part(label.astype(logits.dtype), valid)
            task_loss, kl = _POINTWISE[task](valid_part(logits, valid), label)
        weight = item_weight(valid, kl, reduction, num_items)
        parts = (task_loss + alpha * kl, task_loss.detach(), kl.detach())
        return RDropOutput(*(reduced(part, weight, reduction) for part in parts))


class RDropLoss(paddle.nn.Layer):  # type: ignore[misc]  # Paddle's classes carry no types
    """`r_drop_loss` as a layer: stores the arguments under their own names and calls the function.

    Args, shapes, masks, errors and source: see `r_drop_loss`.

    Example:
        >>> criterion = RDropLoss(alpha=1.0, label_smoothing=0.1)
        >>> out = criterion(paddle.zeros([2, 4, 10]), paddle.to_tensor([0, 1, 2, 3]))
        >>> print(f"{float(out.loss):.4f}, kl {float(out.kl):.4f}")
        4.6052, kl 0.0000
    """

    def __init__(
        self,
        alpha: float,
        *,
        task: Task = "classification",
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        class_weight: Tensor | None = None,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        self.alpha = alpha
        self.task: Task = task
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        self.register_buffer("class_weight", class_weight, persistable=False)
        self.reduction: Reduction = reduction

    def forward(
        self, logits: Tensor, label: Tensor, *, mask: Tensor | None = None, num_items: int | Tensor | None = None
    ) -> RDropOutput:
        """Compute the loss of stacked passes; see `r_drop_loss`."""
        return r_drop_loss(
            logits,
            label,
            alpha=self.alpha,
            task=self.task,
            ignore_index=self.ignore_index,
            mask=mask,
            label_smoothing=self.label_smoothing,
            class_weight=self.class_weight,
            reduction=self.reduction,
            num_items=num_items,
        )

    def extra_repr(self) -> str:
        """Show what the loss was built with."""
        return f"alpha={self.alpha}, task={self.task!r}, reduction={self.reduction!r}"


_POINTWISE = {"regression": terms.squared_terms, "multilabel": terms.multilabel_terms}


def _valid(logits: Tensor, label: Tensor, task: Task, ignore_index: int, mask: Tensor | None) -> Tensor | None:
    """Which items count; probabilities and regression values mark no padding."""
    one_pass = list(logits.shape[1:])
    if task == "regression":
        return valid_items(one_pass, mask, None)
    if task == "multilabel":
        return valid_items(one_pass, mask, label != ignore_index)
    hard = not paddle.is_floating_point(label)
    return valid_items(one_pass[:-1], mask, label != ignore_index if hard else None)


def _class_terms(
    logits: Tensor, label: Tensor, valid: Tensor | None, label_smoothing: float, class_weight: Tensor | None
) -> tuple[Tensor, Tensor]:
    inputs.check_range(label, valid, logits.shape[-1])
    inputs.check_class_weight(class_weight, logits.shape[-1])
    rows = None if valid is None else valid.unsqueeze(-1)
    logits = valid_part(logits, rows)
    label = valid_part(label, rows if paddle.is_floating_point(label) else valid)
    return terms.softmax_terms(logits, terms.dense_target(label, logits, label_smoothing, class_weight))
