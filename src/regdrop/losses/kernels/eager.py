"""The kernel in plain PyTorch: any device, any dtype, a chunk of rows at a time so that all stays in cache."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import torch
from torch import Tensor

from regdrop.losses.kernels import Rows, accumulation_dtype
from regdrop.losses.kernels.chunks import chunks
from regdrop.losses.reduction import can_look

# Measured: smaller chunks pay for starting the threads of every operation, larger ones leave the cache.
CHUNK_ELEMENTS = {"cpu": 1 << 20, "cuda": 1 << 26}


def eager(rows: Rows, grad: Tensor | None) -> Tensor:
    """Fulfil the contract of `regdrop.losses.kernels` chunk by chunk; `grad` may be the logits' own buffer."""
    parts = list(chunks(rows.logits, CHUNK_ELEMENTS))
    spare = _Spare.like(rows.logits, parts[0].stop if parts else 0)
    values = rows.weight.new_empty(2, rows.weight.shape[0])
    unused = _unused(rows.weight)
    for part in parts:
        out = None if grad is None else grad[:, part]
        skipped = None if unused is None else unused[part].unsqueeze(-1)
        _chunk(_rows_of(rows, part, skipped), values[:, part], out, spare.first(part.stop - part.start))
        if skipped is not None and out is not None:
            out.masked_fill_(skipped, 0.0)
    # A class masked in one pass and not in another makes the true value infinite: say so.
    values.masked_fill_(values > torch.finfo(values.dtype).max ** 0.5, torch.inf)
    return values if unused is None else values.masked_fill_(unused, 0.0)


def _unused(weight: Tensor) -> Tensor | None:
    """Which items do not count; None where it is known that all of them do."""
    unused = weight == 0
    return None if can_look(unused) and not bool(unused.any()) else unused


def _rows_of(rows: Rows, part: slice, skipped: Tensor | None) -> Rows:
    """Some of the rows; the class of an item that does not count may be anything: it is moved inside the range."""
    target = None if rows.target is None else rows.target[part]
    if target is not None and target.ndim == 1 and skipped is not None:
        target = target.masked_fill(skipped.squeeze(-1), 0)
    return replace(rows, logits=rows.logits.detach()[:, part], target=target, weight=rows.weight[part])


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

        def buffer(count: int) -> Tensor:
            return logits.new_empty(count, step, classes, dtype=dtype)

        wide = None if dtype == logits.dtype else buffer(passes)
        return cls(wide, buffer(passes), buffer(passes * (passes - 1) // 2), buffer(1)[0])

    def first(self, count: int) -> "_Spare":
        if count == self.prob.shape[1]:
            return self
        wide = None if self.wide is None else self.wide[:, :count]
        return _Spare(wide, self.prob[:, :count], self.differences[:, :count], self.product[:count])


def _chunk(rows: Rows, values: Tensor, grad: Tensor | None, spare: _Spare) -> None:
    """Value and gradient of some rows."""
    wide = rows.logits if spare.wide is None else spare.wide.copy_(rows.logits)
    logits, prob = wide.unbind(), spare.prob.unbind()
    for z, p in zip(logits, prob, strict=True):
        torch.softmax(z, -1, out=p)
    target = _Target.of(rows, wide)
    values[0] = target.value(wide, spare.prob)
    pairs = [_Pair.of(logits, prob, *item, spare.product) for item in zip(_pairs(prob), spare.differences, strict=True)]
    total = sum((pair.distance for pair in pairs[1:]), pairs[0].distance)
    torch.mul(total.squeeze(-1), 1 / (2 * len(pairs)), out=values[1])
    if grad is None:
        return
    out = grad if spare.wide is None else wide
    weight = rows.weight.unsqueeze(-1)
    share = rows.alpha / (2 * len(pairs))
    torch.mul(spare.prob, weight * (target.mass + share * (len(prob) - 1)), out=out)
    target.subtract(weight, out)
    for pair in pairs:
        pair.add_gradient(prob, weight * share, out)
    if out is not grad:
        grad.copy_(out)


def _pairs(passes: Sequence[Tensor]) -> Iterator[tuple[int, int]]:
    return combinations(range(len(passes)), 2)


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two passes and KL(p_a||p_b) + KL(p_b||p_a) = sum_j (p_a - p_b)_j (d_j - E_{p_a} d), d = z_a - z_b.

    Centred, it keeps its digits when the passes nearly agree or share an offset.
    """

    a: int
    b: int
    centred: Tensor  # d - E_{p_a} d, (rows, classes)
    distance: Tensor  # (rows, 1)

    @classmethod
    def of(
        cls, logits: Sequence[Tensor], prob: Sequence[Tensor], pair: tuple[int, int], d: Tensor, product: Tensor
    ) -> "_Pair":
        a, b = pair
        # A class masked in both passes must contribute 0, but -inf - -inf is NaN.
        torch.sub(logits[a], logits[b], out=d).nan_to_num_(nan=0.0)
        d.sub_(torch.mul(prob[a], d, out=product).sum(-1, keepdim=True))
        torch.sub(prob[a], prob[b], out=product)
        return cls(a, b, d, product.mul_(d).sum(-1, keepdim=True))

    def add_gradient(self, prob: Sequence[Tensor], strength: Tensor, out: Tensor) -> None:
        """Add strength times the gradient of the distance, less what is proportional to p; destroys `centred`.

        It is p_a - p_b + p_a (d - E_{p_a} d) for pass a and p_b - p_a - p_b (d - E_{p_b} d) for pass b, where
        E_{p_b} d = E_{p_a} d - distance.
        """
        d = self.centred.mul_(strength)
        out[self.a].addcmul_(prob[self.a], d).addcmul_(prob[self.b], strength, value=-1)
        d.add_(strength * self.distance)
        out[self.b].addcmul_(prob[self.b], d, value=-1).addcmul_(prob[self.a], strength, value=-1)


@dataclass(frozen=True, slots=True)
class _Target:
    """What the passes should predict: one class a row, or mass on all classes."""

    index: Tensor | None  # (passes, rows, 1)
    dense: Tensor | None  # (rows, classes)
    mass: Tensor | float  # of all classes, (rows, 1) where it varies

    @classmethod
    def of(cls, rows: Rows, wide: Tensor) -> "_Target":
        if rows.target is None:
            return cls(None, None, 0.0)
        if rows.target.ndim == 1 and not rows.label_smoothing:
            index = rows.target.unsqueeze(-1)
            mass = 1.0 if rows.class_weight is None else rows.class_weight[index]
            return cls(index.expand(wide.shape[0], -1, -1), None, mass)
        if rows.target.ndim == 1:
            dense = torch.zeros_like(wide[0]).scatter_(-1, rows.target.unsqueeze(-1), 1 - rows.label_smoothing)
        else:
            dense = rows.target.to(wide.dtype) * (1 - rows.label_smoothing)
        if rows.label_smoothing:
            # A class that is masked in every pass gets nothing.
            dense.add_((wide > -torch.inf).any(0), alpha=rows.label_smoothing / wide.shape[-1])
        if rows.class_weight is not None:
            dense *= rows.class_weight
        return cls(None, dense, dense.sum(-1, keepdim=True))

    def value(self, wide: Tensor, prob: Tensor) -> Tensor | float:
        """Minus mass times log p, summed over classes and passes."""
        if self.dense is not None:
            return torch.where(self.dense == 0, 0.0, self.dense * wide.log_softmax(-1)).sum((0, -1)).neg_()
        if self.index is None:
            return 0.0
        return (_log_prob(wide, prob, self.index).sum(0) * -self.mass).squeeze(-1)

    def subtract(self, weight: Tensor, out: Tensor) -> None:
        """Take the weighted mass off the gradient."""
        if self.dense is not None:
            out.addcmul_(self.dense, weight, value=-1)
        elif self.index is not None:
            out.scatter_add_(-1, self.index, (weight * -self.mass).expand(out.shape[0], -1, -1))


def _log_prob(wide: Tensor, prob: Tensor, index: Tensor) -> Tensor:
    """Logarithms of the indexed probabilities; only where one has underflowed are the logits looked at again."""
    picked = prob.gather(-1, index)
    if can_look(picked) and bool(picked.min() > 1e-30):
        return picked.log_()
    return wide.log_softmax(-1).gather(-1, index)
