"""The kernel in plain PyTorch: any device, any dtype, a chunk of rows at a time so that all stays in cache."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import torch
from torch import Tensor

from regdrop.losses.kernels import Rows, accumulation_dtype
from regdrop.losses.kernels.chunks import chunks
from regdrop.losses.kernels.target import Target
from regdrop.losses.reduction import can_look

# Measured at 1,000 to 128,256 classes: smaller chunks pay for starting threads, larger ones leave the cache.
CHUNK_ELEMENTS = {"cpu": 1 << 19, "cuda": 1 << 26}


@torch.no_grad()
def eager(rows: Rows, grad: Tensor | None) -> Tensor:
    """Fulfil the contract of `regdrop.losses.kernels` chunk by chunk; `grad` may be the logits' own buffer."""
    parts = list(chunks(rows.logits, CHUNK_ELEMENTS))
    spare = _Spare.like(rows.logits, parts[0].stop if parts else 0)
    shares = rows.logits.new_empty((2, rows.logits.shape[1]), dtype=spare.prob.dtype)
    unused = _unused(rows.weight)
    for part in parts:
        skipped = None if unused is None else unused[part]
        # Slices cost as much as arithmetic where the logits are small.
        alone = len(parts) == 1
        out = grad if grad is None or alone else grad[:, part]
        _chunk(
            rows if alone and skipped is None else _rows_of(rows, part, skipped),
            shares if alone else shares[:, part],
            out,
            spare.first(part.stop - part.start),
        )
        if skipped is not None and out is not None:
            out.masked_fill_(skipped.unsqueeze(-1), 0.0)
    if unused is not None:
        shares.masked_fill_(unused, 0.0)
    return shares.sum(-1) if rows.summed else shares


def _unused(weight: Tensor | float) -> Tensor | None:
    """Which items do not count; None where it is known that all of them do."""
    if isinstance(weight, float):
        return None
    unused = weight == 0
    return None if can_look(unused) and not bool(unused.any()) else unused


def _rows_of(rows: Rows, part: slice, skipped: Tensor | None) -> Rows:
    """Some of the rows; the class of an item that does not count may be anything: it is moved inside the range."""
    target = None if rows.target is None else rows.target[part]
    if target is not None and target.ndim == 1 and skipped is not None:
        target = target.masked_fill(skipped, 0)
    weight = rows.weight if isinstance(rows.weight, float) else rows.weight[part]
    return replace(rows, logits=rows.logits[:, part], target=target, weight=weight)


@dataclass(frozen=True, slots=True)
class _Spare:
    """Buffers `(count, rows, classes)` in the accumulation dtype, written again by every chunk."""

    wide: Tensor | None  # the logits, where they have another dtype
    prob: Tensor
    differences: Tensor  # one a pair of passes
    product: Tensor  # (rows, classes)

    @classmethod
    def like(cls, logits: Tensor, step: int) -> "_Spare":
        passes, _, classes = logits.shape
        dtype = accumulation_dtype(logits.dtype)

        def buffer(*count: int) -> Tensor:
            return torch.empty((*count, step, classes), dtype=dtype, device=logits.device)

        wide = None if dtype == logits.dtype else buffer(passes)
        return cls(wide, buffer(passes), buffer(passes * (passes - 1) // 2), buffer())

    def first(self, count: int) -> "_Spare":
        if count == self.prob.shape[1]:
            return self
        wide = None if self.wide is None else self.wide[:, :count]
        return _Spare(wide, self.prob[:, :count], self.differences[:, :count], self.product[:count])


def _chunk(rows: Rows, shares: Tensor, grad: Tensor | None, spare: _Spare) -> None:
    """Value and gradient of some rows."""
    wide = rows.logits if spare.wide is None else spare.wide.copy_(rows.logits)
    logits, prob = wide.unbind(), spare.prob.unbind()
    if wide.is_contiguous():
        torch.softmax(wide, -1, out=spare.prob)
    else:  # which it would first be made
        for z, p in zip(logits, prob, strict=True):
            torch.softmax(z, -1, out=p)
    target = Target.of(rows, wide)
    pairs = [
        _Pair.of(logits, prob, *pair, d, spare.product)
        for pair, d in zip(combinations(range(len(prob)), 2), spare.differences, strict=True)
    ]
    torch.stack((target.value(wide, spare.prob), _divergence(pairs)), out=shares)
    shares.mul_(rows.weight)
    if grad is None:
        return
    out = grad if spare.wide is None else wide
    _gradient(pairs, prob, target, rows, out)
    if out is not grad:
        grad.copy_(out)


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two passes and KL(p_a||p_b) + KL(p_b||p_a) = sum_j (p_a - p_b)_j (d_j - E_{p_a} d), d = z_a - z_b.

    Centred, it keeps its digits when the passes nearly agree or share an offset.
    """

    a: int
    b: int
    centred: Tensor  # d - E_{p_a} d, (rows, classes)
    distance: Tensor  # (rows, 1)
    bounded: bool  # whether distances are known to be finite and in range

    @classmethod
    def of(
        cls, logits: Sequence[Tensor], prob: Sequence[Tensor], a: int, b: int, d: Tensor, product: Tensor
    ) -> "_Pair":
        for masked in (False, True) if can_look(d) else (True,):
            torch.sub(logits[a], logits[b], out=d)
            if masked:
                # A class masked in both passes must contribute 0, but -inf - -inf is NaN.
                d.nan_to_num_(nan=0.0)
            d.sub_(torch.mul(prob[a], d, out=product).sum(-1, keepdim=True))
            torch.sub(prob[a], prob[b], out=product)
            distance = product.mul_(d).sum(-1, keepdim=True)
            if not masked and distance.amax().item() < torch.finfo(d.dtype).max ** 0.5:
                return cls(a, b, d, distance, True)
        return cls(a, b, d, distance, False)


def _divergence(pairs: Sequence[_Pair]) -> Tensor:
    """The divergence of every row, `(rows,)`."""
    total = sum((pair.distance for pair in pairs[1:]), pairs[0].distance).squeeze(-1)
    kl = total * (1 / (2 * len(pairs)))
    if all(pair.bounded for pair in pairs):
        return kl
    # A class masked in one pass and not in another makes the true value infinite: say so.
    return kl.masked_fill_(kl > torch.finfo(kl.dtype).max ** 0.5, torch.inf)


def _gradient(pairs: Sequence[_Pair], prob: Sequence[Tensor], target: Target, rows: Rows, out: Tensor) -> None:
    """Write weight times the gradient of task loss and divergence.

    That of a pair is p_a - p_b + p_a (d - E_{p_a} d) for pass a and p_b - p_a - p_b (d - E_{p_b} d) for pass b, where
    E_{p_b} d = E_{p_a} d - distance.
    """
    weight = rows.weight if isinstance(rows.weight, float) else 1.0
    strength = weight * rows.alpha / (2 * len(pairs))
    level = weight * target.mass + strength * (len(prob) - 1)
    level = level if isinstance(level, Tensor) else out.new_full((), level)
    for k, (one, p) in enumerate(zip(out.unbind(), prob, strict=True)):
        column = level
        for pair in pairs:
            if pair.b == k:
                column = torch.sub(column, pair.distance, alpha=strength)
        first, *others = [pair for pair in pairs if k in (pair.a, pair.b)]
        torch.add(column, first.centred, alpha=strength if k == first.a else -strength, out=one)
        for pair in others:
            one.add_(pair.centred, alpha=strength if k == pair.a else -strength)
        one.mul_(p)
        for other in prob:
            if other is not p:
                one.sub_(other, alpha=strength)
    target.subtract(weight, out)
    if isinstance(rows.weight, Tensor):
        out.mul_(rows.weight.unsqueeze(-1))
