"""The output layer and the R-Drop loss in one."""

from dataclasses import replace
from math import ceil, floor, log2
from typing import Any

import torch
from torch import Tensor

from regdrop.errors import InputError
from regdrop.losses import inputs
from regdrop.losses.classification import classification_rows
from regdrop.losses.fused import known, refuse_second_derivative
from regdrop.losses.head import MOST_ROWS, Gradients, Head, head_rows
from regdrop.losses.kernels import Kernel, Parts, Rows, gradient_dtype
from regdrop.losses.kernels.dispatch import Backend, choose
from regdrop.losses.rdrop import RDropOutput, shaped
from regdrop.losses.reduction import Reduction
from regdrop.losses.shapes import Bool, Float, Int, Num

# In float16 the heaviest item weighs 2^-10 to 2^-9, so that the at most 1,024 rows of a chunk add up like a mean.
LIFTED = -ceil(log2(MOST_ROWS))


def linear_r_drop_loss(
    hidden: Float[Tensor, " passes *dims"],
    weight: Float[Tensor, "classes features"],
    target: Num[Tensor, " *target_dims"],
    bias: Float[Tensor, " classes"] | None = None,
    *,
    alpha: float,
    ignore_index: int = -100,
    mask: Bool[Tensor, " *mask_dims"] | Int[Tensor, " *mask_dims"] | None = None,
    label_smoothing: float = 0.0,
    class_weight: Float[Tensor, " classes"] | None = None,
    reduction: Reduction = "mean",
    num_items: int | Tensor | None = None,
    backend: Backend = "auto",
) -> RDropOutput:
    """R-Drop of a classifier whose last layer is linear, without ever holding its logits.

        z_ki = W h_ki + b
        loss_i = sum_k CE(z_ki, y_i) + alpha * mean over pairs a<b of 1/2 [KL(p_a||p_b) + KL(p_b||p_a)]

    The layer and the loss are computed for a chunk of items at a time, value and gradient together; beyond the
    gradients of hidden, weight and bias, memory is that of one chunk of logits. Items that do not count are dropped
    before the layer, so padding costs nothing.

    Args:
        hidden: what the output layer is applied to, one slice a pass, `(K, N, D)` or `(K, B, T, D)`; K >= 2.
        weight: of the output layer, `(V, D)` as in `torch.nn.Linear`, the dtype of `hidden` (under autocast both are
            cast, as by the layer itself). Its gradient is summed in float32; frozen, none is computed.
        target: integer classes `(N,)` or `(B, T)`, or probabilities `(N, V)` or `(B, T, V)`. A language model shifts
            the labels, not the hidden states.
        bias: of the output layer, `(V,)`.
        alpha: weight of the divergence; see `r_drop_loss`.
        ignore_index: target value that marks padding.
        mask: true where the item counts, the shape of the items.
        label_smoothing: mass spread evenly over the classes.
        class_weight: multiplies each class's cross-entropy, `(V,)`.
        reduction: "mean" over valid items, "sum", or "none": one value an item. With "none" the weights of the items
            are known in backward alone, which therefore runs the layer again.
        num_items: divide by this instead of the number of valid items.
        backend: how a chunk's loss is computed; see `r_drop_loss`.

    Returns:
        `RDropOutput(loss, task_loss, kl)` in float32 (float64 for float64).

    Raises:
        InputError: shapes or dtypes that do not fit, one pass only, a class out of range, a mean over no item, or an
            unknown backend.
        UnsupportedError: a backend that cannot run here; on backward, for a second derivative, or a second backward
            after one that scaled the gradient.

    Source: Eq. 2 to 4 of arXiv 2106.14448.

    Relations: equals `r_drop_loss(torch.nn.functional.linear(hidden, weight, bias), target, ...)`.

    Example:
        >>> import torch
        >>> hidden = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]], requires_grad=True)
        >>> weight = torch.tensor([[0.0, 0.0], [0.0, 1.0]])
        >>> out = linear_r_drop_loss(hidden, weight, torch.tensor([1]), alpha=1.0)
        >>> out.loss.backward()
        >>> print(f"{out.loss:.3f} = {out.task_loss:.3f} + 1.0 * {out.kl:.3f}")
        1.122 = 1.006 + 1.0 * 0.116
    """
    inputs.check_passes(hidden, 3, "(passes, items, features)", "hidden states")
    _check_layer(hidden, weight, bias)
    dtype = _layer_dtype(hidden, weight, bias)
    # The logits' shape without their memory: every entry is the same element.
    logits = hidden.new_empty((), dtype=dtype).expand(*hidden.shape[:-1], len(weight))
    rows, items = classification_rows(
        logits, target, alpha, ignore_index, mask, label_smoothing, class_weight, reduction, num_items
    )
    function = _loss_of_batch if rows.summed else _LossOfItems.apply
    parts = function(rows, choose(backend, logits), hidden.flatten(1, -2), weight, bias)
    return shaped(parts, items, reduction)


def _loss_of_batch(rows: Rows, kernel: Kernel, *layer: Tensor | None) -> Parts:
    """The sum over items, whose gradient is known up to one factor: computed with the value."""
    wanted = tuple(part is not None and part.requires_grad and torch.is_grad_enabled() for part in layer)
    with torch.no_grad():
        (loss, task, kl), grads = _run(rows, kernel, layer, wanted)
    return known(loss, layer, grads), task, kl


class _LossOfItems(torch.autograd.Function):
    """One value an item, each with its own factor: the gradient waits for them."""

    @staticmethod
    def forward(ctx: Any, rows: Rows, kernel: Kernel, *layer: Tensor | None) -> Parts:
        (loss, task, kl), _ = _run(rows, kernel, layer, (False, False, False))
        ctx.save_for_backward(*layer)
        ctx.rows, ctx.kernel = rows, kernel
        ctx.mark_non_differentiable(task, kl)
        return loss, task, kl

    @staticmethod
    def backward(ctx: Any, outer: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        refuse_second_derivative()
        rows = replace(ctx.rows, weight=ctx.rows.weight * outer)
        return None, None, *_run(rows, ctx.kernel, ctx.saved_tensors, ctx.needs_input_grad[2:])[1]


def _run(rows: Rows, kernel: Kernel, layer: tuple[Any, ...], wanted: tuple[bool, ...]) -> tuple[Parts, Gradients]:
    """`head_rows` in the dtype of the rows' logits, gradients as they wait for those of hidden, weight and bias."""
    hidden, weight, bias = layer
    dtype = rows.logits.dtype
    head = Head(hidden.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype))
    factor = _lift(rows.weight) if dtype == torch.float16 and rows.logits.numel() else None
    lifted = rows if factor is None else replace(rows, weight=rows.weight * factor)
    found = head_rows(head, lifted, kernel, wanted)
    parts, grads = found if factor is None else _lowered(*found, factor)
    pairs = zip(grads, layer, strict=True)
    return parts, tuple(None if grad is None else grad.to(gradient_dtype(part.dtype)) for grad, part in pairs)


def _lowered(parts: Parts, grads: Gradients, factor: Tensor | float) -> tuple[Parts, Gradients]:
    loss, task, kl = (part.div_(factor) for part in parts)
    return (loss, task, kl), tuple(None if grad is None else grad.div_(factor) for grad in grads)


def _lift(weight: Tensor | float) -> Tensor | float:
    """By how much more items must weigh for float16 to hold their gradient: a power of two.

    The share of an item in a large batch times a small probability would be 0; a gradient scaler's factor comes too
    late, in backward.
    """
    if isinstance(weight, float):
        return 2.0 ** (LIFTED - floor(log2(abs(weight))))
    largest = weight.abs().amax().clamp_min(torch.finfo(weight.dtype).tiny)
    return torch.exp2(LIFTED - largest.log2().floor())


def _check_layer(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    shape, features = tuple(weight.shape), hidden.shape[-1]
    if weight.ndim != 2 or shape[0] == 0 or shape[1] != features:
        raise InputError(f"weight has shape {shape}; hidden states of {features} features need (classes, {features})")
    if bias is not None and bias.shape != shape[:1]:
        raise InputError(f"bias has shape {tuple(bias.shape)}; a weight of shape {shape} needs ({shape[0]},)")


def _layer_dtype(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> torch.dtype:
    """What `torch.nn.functional.linear` would compute in: the one dtype of all, or that of autocast."""
    device = hidden.device.type
    if torch.is_autocast_enabled(device) and hidden.dtype != torch.float64:
        return torch.get_autocast_dtype(device)
    for name, part in (("weight", weight), ("bias", bias)):
        if part is not None and part.dtype != hidden.dtype:
            raise InputError(
                f"hidden states have dtype {hidden.dtype} but {name} has {part.dtype}; cast one, or use torch.autocast"
            )
    return hidden.dtype
