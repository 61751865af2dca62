"""Value and gradient of the R-Drop loss in one visit of the logits, as one autograd Function."""

from typing import Any

import torch
from torch import Tensor

from regdrop.errors import InputError, UnsupportedError
from regdrop.losses.kernels import Parts, Rows, gradient_dtype
from regdrop.losses.kernels.dispatch import Backend, choose
from regdrop.losses.reduction import can_look


def fused_rows(rows: Rows, *, backend: Backend = "auto", inplace: bool = False) -> Parts:
    """The loss, its task part and the divergence: every item's weighted share, or their sums as `rows` asks.

    The gradient of the loss is computed with the value and kept until backward, in float32 for float16 logits: it is
    all that is saved. With `inplace` it takes the logits' own buffer, whose content is lost. The other two carry none.

    Args:
        rows: the items and their weights, with which a sum may be a mean.
        backend: see `r_drop_loss`.
        inplace: see `r_drop_loss`.

    Raises:
        InputError: `inplace` on a leaf tensor, whose content is the user's; or an unknown backend.
        UnsupportedError: a backend that cannot run here; on backward, one through the gradient, or a second one after
            one that scaled the gradient.
    """
    logits = rows.logits
    if inplace:
        _refuse_leaf(logits)
    kernel = choose(backend, logits)
    if not (logits.requires_grad and torch.is_grad_enabled()):
        return kernel(rows, None)
    grad = logits.detach() if inplace else torch.empty_like(logits, dtype=gradient_dtype(logits.dtype))
    loss, task, kl = kernel(rows, grad)
    return known(loss, (logits,), (grad,)), task, kl


def _refuse_leaf(logits: Tensor) -> None:
    """Refuse to overwrite what the user owns, be it through a view such as a reshape."""
    owner = logits if logits._base is None else logits._base
    if owner.is_leaf and owner.requires_grad:
        raise InputError("inplace=True would overwrite a leaf tensor; pass the output of a model, or inplace=False")


def known(value: Tensor, inputs: tuple[Tensor | None, ...], grads: tuple[Tensor | None, ...]) -> Tensor:
    """A value whose gradients with respect to some inputs are known; they wait for backward.

    Args:
        value: fresh and without a graph: one number, or one an item, the last dimension but one of the gradients.
        inputs: tensors, or None.
        grads: as many; None where no gradient is wanted. They belong to autograd from now on.
    """
    if torch.compiler.is_compiling():
        value = value.clone()  # what enters a compiled graph and leaves it again would lose its gradient
    found: Tensor = _Known.apply((value, grads), *inputs)
    return found


class _Known(torch.autograd.Function):
    # The value and its gradients come as one argument that autograd does not look into.
    @staticmethod
    def forward(ctx: Any, pair: tuple[Tensor, tuple[Tensor | None, ...]], *_: Tensor | None) -> Tensor:
        value, grads = pair
        ctx.save_for_backward(*grads)
        ctx.scaled = False
        return value

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor | None, ...]:
        return None, *_handed_out(ctx, outer)


def _handed_out(ctx: Any, outer: Tensor) -> tuple[Any, ...]:
    """The gradients saved with the value, times the outer gradient; scaled in place, so at most once.

    Raises:
        UnsupportedError: backward through the gradient, or a second backward after one that scaled it.
    """
    refuse_second_derivative()
    if ctx.scaled:
        raise UnsupportedError("backward scaled this loss's gradient in place already; compute the loss again")
    grads: tuple[Any, ...] = ctx.saved_tensors
    if not _is_one(outer):
        ctx.scaled = True
        for grad in grads:
            if grad is not None:
                grad.mul_(_multiplier(outer, grad))
    return grads


def _multiplier(outer: Tensor, grad: Tensor) -> Tensor:
    """The outer gradient as a factor; a gradient scaler's 65,536 is infinite in float16, so it stays float32 there."""
    scale = outer.unsqueeze(-1) if outer.ndim else outer
    if grad.dtype != torch.float16:
        return scale.to(grad.dtype)
    return scale if scale.ndim else scale.reshape(1)  # without dimensions it would be cast after all


def _is_one(scale: Tensor) -> bool:
    """Whether nothing needs scaling, where that can be seen without waiting for an accelerator."""
    if not can_look(scale):
        return False
    return scale.item() == 1 if scale.ndim == 0 else bool((scale == 1).all())


def refuse_second_derivative() -> None:
    """Autograd computes gradients with grad mode on only where it is asked to differentiate them again.

    Raises:
        UnsupportedError: in that case.
    """
    if torch.is_grad_enabled():
        raise UnsupportedError("the R-Drop loss has no second derivative; call backward without create_graph")
