"""The kernel in plain PyTorch: any device, any dtype, a chunk of rows at a time so that all stays in cache."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import NamedTuple

import torch
from torch import Tensor

from regdrop.losses.kernels import Parts, Rows, accumulation_dtype, total
from regdrop.losses.kernels.chunks import chunks
from regdrop.losses.kernels.target import Target
from regdrop.losses.reduction import can_look

# Measured at 1,000 to 128,256 classes: smaller chunks pay for starting threads, larger ones leave the cache.
CHUNK_ELEMENTS = {"cpu": 1 << 19, "cuda": 1 << 26}

# A larger distance means that a class is masked in one pass and not in another.
LARGEST = {dtype: torch.finfo(dtype).max ** 0.5 for dtype in (torch.float32, torch.float64)}


@torch.no_grad()
def eager(rows: Rows, grad: Tensor | None) -> Parts:
    """Fulfil the contract of `regdrop.losses.kernels` chunk by chunk; `grad` may be the logits' own buffer."""
    logs, distances = [], []
    spare = None
    for part, out in chunks(rows, grad, CHUNK_ELEMENTS):
        spare = _Spare.of(rows, part, out) if spare is None else spare.first(part.logits.shape[1])
        log, distance = _visit(part, out, spare)
        logs.append(log)
        distances.append(distance)
    passes = len(rows.logits)
    task, kl = _share(logs, -1.0, rows), _share(distances, 1 / (passes * (passes - 1)), rows)
    return total(task, kl, rows.alpha), task, kl


def _share(chunks: Sequence[Tensor], factor: float, rows: Rows) -> Tensor:
    """Weight times factor times values `(..., items, 1)`, summed over all but the items, or over all."""
    if not chunks:
        return rows.logits.new_zeros(() if rows.summed else (0,), dtype=accumulation_dtype(rows.logits.dtype))
    values = chunks[0] if len(chunks) == 1 else torch.cat(list(chunks), -2)
    if rows.summed and isinstance(rows.weight, float):
        return values.sum().mul_(rows.weight * factor)
    each = values.view(-1, values.shape[-2]).sum(0).mul_(factor).mul_(rows.weight)
    if isinstance(rows.weight, Tensor):
        each.masked_fill_(rows.weight == 0, 0.0)
    return each.sum() if rows.summed else each


class _Spare(NamedTuple):
    """Buffers in the accumulation dtype, written again by every chunk; None where a single one makes its own."""

    wide: Tensor | None  # the logits, where they have another dtype: (passes, rows, classes)
    lent: bool  # whether the probabilities of two passes wait where their gradient goes
    prob: Tensor | None  # else, (passes, rows, classes)
    differences: Sequence[Tensor | None]  # one a pair of passes, (rows, classes) each
    product: Tensor | None  # (rows, classes)

    @classmethod
    def of(cls, rows: Rows, chunk: Rows, grad: Tensor | None) -> "_Spare":
        passes, items, classes = chunk.logits.shape
        dtype, pairs = accumulation_dtype(chunk.logits.dtype), passes * (passes - 1) // 2

        def buffer(*count: int) -> Tensor:
            return torch.empty((*count, items, classes), dtype=dtype, device=chunk.logits.device)

        wide = None if dtype == chunk.logits.dtype else buffer(passes)
        lent = wide is None and passes == 2 and grad is not None and grad.data_ptr() != chunk.logits.data_ptr()
        if chunk is rows:
            return cls(wide, lent, None, (None,) * pairs, None)
        return cls(wide, lent, None if lent else buffer(passes), buffer(pairs).unbind(), buffer())

    def first(self, count: int) -> "_Spare":
        wide, lent, prob, differences, product = self
        if product is None or len(product) == count:
            return self
        wide, prob = (None if one is None else one[:, :count] for one in (wide, prob))
        return _Spare(wide, lent, prob, [d[:count] for d in differences if d is not None], product[:count])


def _visit(rows: Rows, grad: Tensor | None, spare: _Spare) -> tuple[Tensor, Tensor]:
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
    pairs, bounded = _pairs(logits, probs, spare)
    distance = sum((pair.distance for pair in pairs[1:]), pairs[0].distance)
    if grad is not None:
        out = grad if spare.wide is None else wide
        _gradient(pairs, probs, target, rows, out, spare.lent)
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


class _Pair(NamedTuple):
    """Two passes and KL(p_a||p_b) + KL(p_b||p_a) = sum_j (p_a - p_b)_j (d_j - E_{p_a} d), d = z_a - z_b.

    Centred, it keeps its digits when the passes nearly agree or share an offset.
    """

    a: int
    b: int
    centred: Tensor  # d - E_{p_a} d, (rows, classes)
    product: Tensor  # of no use any more
    distance: Tensor  # (rows, 1)


def _pairs(logits: Sequence[Tensor], prob: Sequence[Tensor], spare: _Spare) -> tuple[list[_Pair], bool]:
    """All pairs of passes, and whether their distances are known to be finite and in range."""
    numbers = list(zip(combinations(range(len(prob)), 2), spare.differences, strict=True))
    if can_look(logits[0]):
        pairs = [_pair(logits, prob, *pair, room, spare.product, False) for pair, room in numbers]
        if all(pair.distance.amax().item() < LARGEST[pair.distance.dtype] for pair in pairs):
            return pairs, True
    return [_pair(logits, prob, *pair, room, spare.product, True) for pair, room in numbers], False


def _pair(
    logits: Sequence[Tensor],
    prob: Sequence[Tensor],
    a: int,
    b: int,
    difference: Tensor | None,
    product: Tensor | None,
    masked: bool,
) -> _Pair:
    d = torch.sub(logits[a], logits[b], out=difference)
    if masked:
        # A class masked in both passes must contribute 0, but -inf - -inf is NaN.
        d.nan_to_num_(nan=0.0)
    product = torch.mul(prob[a], d, out=product)
    d.sub_(product.sum(-1, keepdim=True))
    torch.sub(prob[a], prob[b], out=product)
    return _Pair(a, b, d, product, product.mul_(d).sum(-1, keepdim=True))


def _gradient(
    pairs: Sequence[_Pair], prob: Sequence[Tensor], target: Target, rows: Rows, out: Tensor, lent: bool
) -> None:
    """Write weight times the gradient of task loss and divergence.

    That of a pair is p_a - p_b + p_a (d - E_{p_a} d) for pass a and p_b - p_a - p_b (d - E_{p_b} d) for pass b, where
    E_{p_b} d = E_{p_a} d - distance. Where the probabilities stand in its place, that of pass b waits in a buffer.
    """
    weight = rows.weight if isinstance(rows.weight, float) else 1.0
    strength = weight * rows.alpha / (2 * len(pairs))
    level = weight * target.mass + strength * (len(prob) - 1)
    level = level if isinstance(level, Tensor) else out.new_full((), level)
    outs = prob if lent else out.unbind()
    rooms = (pairs[0].centred, pairs[0].product) if lent else outs
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
    if lent:
        outs[1].copy_(rooms[1])
    target.subtract(weight, out)
    if isinstance(rows.weight, Tensor):
        out.mul_(rows.weight.unsqueeze(-1))
