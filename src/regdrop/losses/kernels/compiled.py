"""The kernel as one formula that torch.compile turns into a few loops, for the CPU and for CUDA alike."""

from functools import cache
from types import FunctionType
from typing import Any

import torch
from torch import Tensor

from regdrop.losses.kernels import Rows, accumulation_dtype
from regdrop.losses.kernels.chunks import chunks

CHUNK_ELEMENTS = {"cpu": 1 << 20, "cuda": 1 << 26}

# Fewer logits are not worth starting another thread.
FEW = 1 << 14

# Otherwise the size that was compiled first, maybe by another process that shares the compiler's cache, would say
# whether all later ones use one thread, and torch.set_num_threads would change nothing.
THREADS: dict[bool, dict[str, Any]] = {True: {"cpp.threads": 1}, False: {"cpp.dynamic_threads": True}}


@torch.no_grad()
def compiled(rows: Rows, grad: Tensor | None) -> Tensor:
    """Fulfil the contract of `regdrop.losses.kernels`; compiles once a combination of options, for all sizes.

    What the compiler keeps between its loops stays in cache, since it sees a chunk of rows at a time.
    """
    logits = rows.logits.detach()
    weight = rows.weight
    if isinstance(weight, float):
        weight = logits.new_full(logits.shape[1:2], weight, dtype=accumulation_dtype(logits.dtype))
    # A Python number would be written into the compiled code; a tensor is read every time.
    alpha = weight.new_full((), rows.alpha)
    smoothed = rows.label_smoothing and rows.target is not None
    constants = alpha, weight.new_full((), rows.label_smoothing) if smoothed else None, rows.class_weight, rows.summed
    # In place they must be the same objects: the compiler refuses inputs that merely share their memory.
    in_place = grad is not None and grad.data_ptr() == logits.data_ptr()
    program = _program(logits.numel() < FEW, *_options(rows), grad is not None, in_place)
    parts = list(chunks(logits, CHUNK_ELEMENTS))
    whole = logits, rows.target, weight, grad
    # Slices cost as much as arithmetic where the logits are few.
    pieces = [whole] if len(parts) == 1 else [_sliced(part, *whole) for part in parts]
    shares = []
    for own, target, share, buffer in pieces:
        read = own.unbind()
        out = None if buffer is None else read if in_place else buffer.unbind()
        shares.append(program(read, target, share, *constants, out))
    return _joined(shares, weight, rows.summed)


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
    return logits.dtype, logits.device, len(logits), kind, smoothed, weighted, rows.summed


@cache
def _program(few: bool, *_options: object) -> Any:
    """A program for few logits or for many, and for one combination of options.

    Each is made of a copy of the formula: once torch.compile has compiled one function eight times it silently runs it
    uncompiled.
    """
    copied = FunctionType(_formula.__code__.replace(), globals())
    return torch.compile(copied, dynamic=True, options=THREADS[few])


def _formula(
    logits: tuple[Tensor, ...],
    target: Tensor | None,
    weight: Tensor,
    alpha: Tensor,
    smooth: Tensor | None,
    class_weight: Tensor | None,
    summed: bool,
    grad: tuple[Tensor, ...] | None,
) -> Tensor:
    """What every row adds to both parts, or their sums, and the gradient into `grad`.

    (K - 1) kl = sum_k sum_j (p_k - mean p) (s_k - E_{p_k} s_k), s = c - mean c, c = z - max z, whose gradient is
    p_k - mean p + p_k (s_k - E_{p_k} s_k).
    """
    passes = len(logits)
    unused = weight == 0
    wide = [one.to(accumulation_dtype(one.dtype)) for one in logits]
    peak = [one.amax(-1, keepdim=True) for one in wide]
    # -inf - -inf would be NaN; a class masked in every pass has power 0 and the same finite c.
    lowest = torch.finfo(wide[0].dtype).min / 1e8
    centred = [(one - top).clamp(min=lowest) for one, top in zip(wide, peak, strict=True)]
    powers = [one.exp() for one in centred]
    total = [one.sum(-1, keepdim=True) for one in powers]
    away = _from_mean(centred)
    middle = [(e * s).sum(-1, keepdim=True) / n for e, s, n in zip(powers, away, total, strict=True)]
    away = [s - m for s, m in zip(away, middle, strict=True)]
    prob = [e * n.reciprocal() for e, n in zip(powers, total, strict=True)]
    products = [p * s for p, s in zip(_from_mean(prob), away, strict=True)]
    kl = sum(products[1:], products[0]).sum(-1) / (passes - 1)
    mass, whole, value = _target(wide, centred, target, unused, smooth, class_weight)
    task = sum((whole * n.log() for n in total), -value).squeeze(-1)
    if grad is not None:
        strength = alpha / (passes - 1)
        rest = sum(prob[1:], prob[0]) * (strength / passes) + mass
        for p, s, out in zip(prob, away, grad, strict=True):
            full = (p * (whole + strength + strength * s) - rest) * weight.unsqueeze(-1)
            out.copy_(full.masked_fill(unused.unsqueeze(-1), 0.0))
    shares = (_bounded(torch.stack((task, kl))) * weight).masked_fill(unused, 0.0)
    return shares.sum(-1) if summed else shares


def _from_mean(stack: list[Tensor]) -> list[Tensor]:
    """x_k - mean x, from differences: where the passes nearly agree the mean itself would round them away."""
    share = 1 / len(stack)
    differences = [[one - other for other in stack if other is not one] for one in stack]
    return [sum(few[1:], few[0]) * share for few in differences]


def _target(
    wide: list[Tensor],
    centred: list[Tensor],
    target: Tensor | None,
    unused: Tensor,
    smooth: Tensor | None,
    class_weight: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Every class's mass `(rows, classes)`, their sum, and their product with the centred logits of all passes."""
    if target is None:
        nothing = torch.zeros_like(wide[0][:, :1])
        return nothing, nothing, nothing
    classes = torch.arange(wide[0].shape[-1], device=wide[0].device, dtype=torch.int32)
    if target.ndim == 1 and smooth is None:
        index = target.masked_fill(unused, 0).unsqueeze(-1)
        whole = torch.ones_like(wide[0][:, :1]) if class_weight is None else class_weight[index]
        picked = sum((one.gather(-1, index) for one in centred[1:]), centred[0].gather(-1, index))
        return torch.where(classes == index.to(torch.int32), whole, 0.0), whole, whole * picked
    mass = (target.unsqueeze(-1) == classes if target.ndim == 1 else target).to(wide[0].dtype)
    if smooth is not None:
        # A class that is masked in every pass gets nothing.
        seen = torch.stack([one > -torch.inf for one in wide]).any(0)
        mass = mass * (1 - smooth) + seen * (smooth / wide[0].shape[-1])
    if class_weight is not None:
        mass = mass * class_weight
    value = sum((mass * one for one in centred[1:]), mass * centred[0])
    return mass, mass.sum(-1, keepdim=True), value.sum(-1, keepdim=True)


def _bounded(value: Tensor) -> Tensor:
    """A class masked in one pass and not in another makes the true value infinite: say so."""
    return value.masked_fill(value > torch.finfo(value.dtype).max ** 0.5, torch.inf)
