"""The kernel in plain PyTorch: any device, any dtype, a chunk of rows at a time so that all stays in cache."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from regdrop.losses.kernels import Parts, Rows, accumulation_dtype, total
from regdrop.losses.kernels.chunks import chunks
from regdrop.losses.kernels.pairs import LARGEST, Pair, compare
from regdrop.losses.kernels.spare import Spare
from regdrop.losses.kernels.target import Target
from regdrop.losses.reduction import can_look

# Measured at 1,000 to 128,256 classes: smaller chunks pay for starting threads, larger ones leave the cache.
CHUNK_ELEMENTS = {"cpu": 1 << 19, "cuda": 1 << 26}


@torch.no_grad()
def eager(rows: Rows, grad: Tensor | None) -> Parts:
    """Fulfil the contract of `regdrop.losses.kernels` chunk by chunk; `grad` may be the logits' own buffer."""
    logs, distances = [], []
    spare = None
    for part, out in chunks(rows, grad, CHUNK_ELEMENTS):
        spare = Spare.of(rows, part, out) if spare is None else spare.first(part.logits.shape[1])
        log, distance = _visit(part, out, spare)
        logs.append(log)
        distances.append(distance)
    passes = len(rows.logits)
    task, kl = _share(logs, -1.0, rows), _share(distances, 1 / (passes * (passes - 1)), rows)
    return total(task, kl, rows.alpha), task, kl


def _share(parts: Sequence[Tensor], factor: float, rows: Rows) -> Tensor:
    """Weight times factor times values `(..., items, 1)`, in chunks, summed over all but the items or over all."""
    if not parts:
        return rows.logits.new_zeros(() if rows.summed else (0,), dtype=accumulation_dtype(rows.logits.dtype))
    values = parts[0] if len(parts) == 1 else torch.cat(list(parts), -2)
    if rows.summed and isinstance(rows.weight, float):
        return values.sum().mul_(rows.weight * factor)
    each = values.view(-1, values.shape[-2]).sum(0).mul_(factor).mul_(rows.weight)
    if isinstance(rows.weight, Tensor):
        each.masked_fill_(rows.weight == 0, 0.0)
    return each.sum() if rows.summed else each


def _visit(rows: Rows, grad: Tensor | None, spare: Spare) -> tuple[Tensor, Tensor]:
    """The target's mass times log p, `(..., rows, 1)`, and all distances, `(rows, 1)`; writes the gradient."""
    skipped = _skipped(rows.weight)
    if skipped is not None and rows.target is not None and rows.target.ndim == 1:
        # The class of an item that does not count may be anything.
        rows = replace(rows, target=rows.target.masked_fill(skipped, 0))
    wide = rows.logits if spare.wide is None else spare.wide.copy_(rows.logits)
    logits = wide.unbind()
    prob, probs = _softmax(wide, logits, grad if spare.lent else spare.prob)
    target = Target.of(rows, wide)
    logs = target.log_likelihood(wide, prob)
    product = torch.empty_like(probs[0]) if spare.product is None else spare.product
    pairs, bounded = compare(logits, probs, spare.differences, product)
    distance = sum((pair.distance for pair in pairs[1:]), pairs[0].distance)
    if grad is not None:
        out = grad if spare.wide is None else wide
        _gradient(pairs, probs, target, rows, out, product if spare.lent else None)
        if out is not grad:
            grad.copy_(out)
        if skipped is not None:
            grad.masked_fill_(skipped.unsqueeze(-1), 0.0)
    if not bounded:
        # A class masked in one pass and not in another makes the true value infinite: say so.
        distance = distance.masked_fill(distance > LARGEST[distance.dtype], torch.inf)
    return logs, distance


def _skipped(weight: Tensor | float) -> Tensor | None:
    """Which items do not count; None where it is known that all of them do."""
    if isinstance(weight, float):
        return None
    skipped = weight == 0
    return None if can_look(skipped) and not bool(skipped.any()) else skipped


def _softmax(wide: Tensor, logits: Sequence[Tensor], out: Tensor | None) -> tuple[Tensor, Sequence[Tensor]]:
    """Probabilities of the stacked logits, and those of every pass."""
    if out is None or (wide.is_contiguous() and out.is_contiguous()):
        prob = torch.softmax(wide, -1, out=out)
        return prob, prob.unbind()
    probs = out.unbind()
    for z, p in zip(logits, probs, strict=True):  # else all would first be copied side by side
        torch.softmax(z, -1, out=p)
    return out, probs


def _gradient(
    pairs: Sequence[Pair], prob: Sequence[Tensor], target: Target, rows: Rows, out: Tensor, room: Tensor | None
) -> None:
    """Write weight times the gradient of task loss and divergence.

    That of a pair is p_a - p_b + p_a (d - E_{p_a} d) for pass a and p_b - p_a - p_b (d - E_{p_b} d) for pass b, where
    E_{p_b} d = E_{p_a} d - distance. Where the probabilities of two passes stand in its place, the second's waits in
    `room`.
    """
    weight = rows.weight if isinstance(rows.weight, float) else 1.0
    strength = weight * rows.alpha / (2 * len(pairs))
    level = weight * target.mass + strength * (len(prob) - 1)
    level = level if isinstance(level, Tensor) else out.new_full((), level)
    outs = out.unbind() if room is None else prob
    rooms = outs if room is None else (pairs[0].centred, room)
    for k in reversed(range(len(prob))):
        column = level
        for pair in pairs:
            if pair.b == k:
                column = torch.sub(column, pair.distance, alpha=strength)
        first, *others = [pair for pair in pairs if k in (pair.a, pair.b)]
        torch.add(column, first.centred, alpha=strength if k == first.a else -strength, out=rooms[k])
        for pair in others:
            rooms[k].add_(pair.centred, alpha=strength if k == pair.a else -strength)
        one = torch.mul(rooms[k], prob[k], out=rooms[k] if k else outs[k])
        for other in prob:
            if other is not prob[k]:
                one.sub_(other, alpha=strength)
    if room is not None:
        outs[1].copy_(room)
    target.subtract(weight, out)
    if isinstance(rows.weight, Tensor):
        out.mul_(rows.weight.unsqueeze(-1))
