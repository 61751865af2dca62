"""The kernel that torch.compile makes of the formula, for the CPU and for CUDA alike."""

from functools import cache
from types import FunctionType
from typing import Any

import torch
from torch import Tensor

from regdrop.losses.kernels import Parts, Rows, accumulation_dtype
from regdrop.losses.kernels.chunks import chunks
from regdrop.losses.kernels.formula import Inputs, finish, visit

# What the compiler may keep of a chunk between its loops counts as extra memory, and so does its gradient where that
# shall take the logits' place. On the CPU it makes one loop over the rows, which keeps nothing.
CHUNK_ELEMENTS = {"cpu": 1 << 30, "cuda": 1 << 26}
CHUNK_ELEMENTS_IN_PLACE = {"cpu": 1 << 20, "cuda": 1 << 24}

# Fewer logits are not worth starting another thread; so many are worth separate operations for what every row adds.
FEW, MANY = 1 << 14, 1 << 19

# Otherwise the size that was compiled first, maybe by another process that shares the compiler's cache, would say
# whether all later ones use one thread, and torch.set_num_threads would change nothing.
THREADS: dict[bool, dict[str, Any]] = {True: {"cpp.threads": 1}, False: {"cpp.dynamic_threads": True}}


@torch.no_grad()
def compiled(rows: Rows, grad: Tensor | None) -> Parts:
    """Fulfil the contract of `regdrop.losses.kernels`.

    Every combination of options is compiled once for few logits, once for more and once for many, at their first use.
    """
    if grad is None or grad.data_ptr() != rows.logits.data_ptr():
        return _joined(rows, [_visit(rows, *piece) for piece in chunks(rows, grad, CHUNK_ELEMENTS)])
    # The compiler refuses inputs that share their memory.
    found = []
    for part, _ in chunks(rows, None, CHUNK_ELEMENTS_IN_PLACE):
        beside = torch.empty_like(part.logits)
        found.append(_visit(rows, part, beside))
        part.logits.copy_(beside)
    return _joined(rows, found)


def _visit(rows: Rows, part: Rows, grad: Tensor | None) -> Parts:
    """What some of the rows add, and their gradient, by the program for so many rows in all."""
    inputs, out = Inputs.of(part), None if grad is None else grad.unbind()
    count, options = rows.logits.numel(), (*_options(rows), grad is not None)
    if count < MANY or not rows.logits.is_cpu:
        shares: Parts = _program(_all_at_once, count < FEW, *options, rows.summed)(inputs, out, rows.summed)
        return shares
    return finish(inputs, _program(visit, False, *options)(inputs, out), rows.summed)


def _all_at_once(inputs: Inputs, grad: tuple[Tensor, ...] | None, summed: bool) -> Parts:
    return finish(inputs, visit(inputs, grad), summed)


def _joined(rows: Rows, found: list[Parts]) -> Parts:
    if len(found) == 1:
        return found[0]
    none = rows.logits.new_zeros(() if rows.summed else 0, dtype=accumulation_dtype(rows.logits.dtype))
    parts = zip((none, none, none), *found, strict=True)
    loss, task, kl = (torch.stack(part).sum(0) if rows.summed else torch.cat(part) for part in parts)
    return loss, task, kl


def _options(rows: Rows) -> tuple[object, ...]:
    """What of the rows is written into the compiled code."""
    logits, target = rows.logits, rows.target
    kind = None if target is None else target.dtype
    smoothed, weighted = bool(rows.label_smoothing), rows.class_weight is not None
    return logits.dtype, logits.device, len(logits), kind, smoothed, weighted, isinstance(rows.weight, float)


@cache
def _program(formula: FunctionType, few: bool, *_options: object) -> Any:
    """A program on one thread for few logits or on all of them for more, and for one combination of options.

    Each is made of a copy of the function: once torch.compile has compiled one function eight times it silently runs it
    uncompiled.
    """
    copied = FunctionType(formula.__code__.replace(), formula.__globals__)
    return torch.compile(copied, dynamic=True, options=THREADS[few])
