"""The kernel that torch.compile makes of the formula, for the CPU and for CUDA alike."""

from functools import cache
from types import FunctionType
from typing import Any

import torch
from torch import Tensor

from regdrop.losses.kernels import Rows, accumulation_dtype
from regdrop.losses.kernels.chunks import chunks
from regdrop.losses.kernels.formula import Inputs, finish, visit

# What the compiler may keep of a chunk between its loops counts as extra memory, and so does its gradient where that
# shall take the logits' place.
CHUNK_ELEMENTS = {"cpu": 1 << 22, "cuda": 1 << 26}
CHUNK_ELEMENTS_IN_PLACE = {"cpu": 1 << 20, "cuda": 1 << 24}

# Fewer logits are not worth starting another thread; so many are worth separate operations for what every row adds.
FEW, MANY = 1 << 14, 1 << 19

# Otherwise the size that was compiled first, maybe by another process that shares the compiler's cache, would say
# whether all later ones use one thread, and torch.set_num_threads would change nothing.
THREADS: dict[bool, dict[str, Any]] = {True: {"cpp.threads": 1}, False: {"cpp.dynamic_threads": True}}


@torch.no_grad()
def compiled(rows: Rows, grad: Tensor | None) -> Tensor:
    """Fulfil the contract of `regdrop.losses.kernels`.

    Every combination of options is compiled once for few logits, once for more and once for many, at their first use.
    """
    logits, weight = rows.logits.detach(), rows.weight
    if isinstance(weight, float):
        weight = logits.new_full(logits.shape[1:2], weight, dtype=accumulation_dtype(logits.dtype))
    # A Python number would be written into the compiled code; a tensor is read every time.
    alpha = weight.new_full((), rows.alpha)
    smoothed = rows.label_smoothing and rows.target is not None
    smooth = weight.new_full((), rows.label_smoothing) if smoothed else None
    whole = logits, rows.target, weight, grad
    parts = list(chunks(logits, CHUNK_ELEMENTS_IN_PLACE if _in_place(logits, grad) else CHUNK_ELEMENTS))
    # Slices cost as much as arithmetic where the logits are few.
    pieces = [whole] if len(parts) == 1 else [_sliced(part, *whole) for part in parts]
    shares = [_chunk(rows, *piece, alpha, smooth) for piece in pieces]
    return _joined(shares, weight, rows.summed)


def _chunk(
    rows: Rows,
    logits: Tensor,
    target: Tensor | None,
    weight: Tensor,
    grad: Tensor | None,
    alpha: Tensor,
    smooth: Tensor | None,
) -> Tensor:
    inputs = Inputs(logits, target, weight, alpha, smooth, rows.class_weight)
    if not _in_place(logits, grad):
        return _shares(rows, inputs, grad)
    # The compiler refuses inputs that share their memory.
    beside = torch.empty_like(logits)
    shares = _shares(rows, inputs, beside)
    logits.copy_(beside)
    return shares


def _in_place(logits: Tensor, grad: Tensor | None) -> bool:
    return grad is not None and grad.data_ptr() == logits.data_ptr()


def _shares(rows: Rows, inputs: Inputs, grad: Tensor | None) -> Tensor:
    count, options = rows.logits.numel(), (*_options(rows), grad is not None)
    out = None if grad is None else grad.unbind()
    if count < MANY or not rows.logits.is_cpu:
        shares: Tensor = _program(_all_at_once, count < FEW, *options, rows.summed)(inputs, out, rows.summed)
        return shares
    return finish(inputs, _program(visit, False, *options)(inputs, out), rows.summed)


def _all_at_once(inputs: Inputs, grad: tuple[Tensor, ...] | None, summed: bool) -> Tensor:
    return finish(inputs, visit(inputs, grad), summed)


def _sliced(
    part: slice, logits: Tensor, target: Tensor | None, weight: Tensor, grad: Tensor | None
) -> tuple[Tensor, Tensor | None, Tensor, Tensor | None]:
    return (
        logits[:, part],
        None if target is None else target[part],
        weight[part],
        None if grad is None else grad[:, part],
    )


def _joined(shares: list[Tensor], weight: Tensor, summed: bool) -> Tensor:
    if len(shares) == 1:
        return shares[0]
    if summed:
        return torch.stack([weight.new_zeros(2), *shares]).sum(0)
    return torch.cat([weight.new_empty(2, 0), *shares], 1)


def _options(rows: Rows) -> tuple[object, ...]:
    """What of the rows is written into the compiled code."""
    logits, target = rows.logits, rows.target
    kind = None if target is None else target.dtype
    smoothed, weighted = bool(rows.label_smoothing), rows.class_weight is not None
    return logits.dtype, logits.device, len(logits), kind, smoothed, weighted


@cache
def _program(formula: FunctionType, few: bool, *_options: object) -> Any:
    """A program on one thread for few logits or on all of them for more, and for one combination of options.

    Each is made of a copy of the function: once torch.compile has compiled one function eight times it silently runs it
    uncompiled.
    """
    copied = FunctionType(formula.__code__.replace(), formula.__globals__)
    return torch.compile(copied, dynamic=True, options=THREADS[few])
