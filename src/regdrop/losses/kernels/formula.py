"""The loss as a formula for torch.compile: what visits the logits, and what is then left to do for every row.

Where no operation on the rows alone stands among those that visit the logits, the compiler for the CPU makes one loop
over the rows of them, through which a row and its powers stay in cache.
"""

from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor

from regdrop.losses.kernels import Parts, Rows, accumulation_dtype


class Inputs(NamedTuple):
    """Rows as the formula takes them, with tensors for numbers, which would be compiled in."""

    logits: Tensor  # (passes, rows, classes)
    target: Tensor | None
    weight: Tensor  # (rows,), or () where all rows weigh the same
    alpha: Tensor
    smooth: Tensor | None  # the label smoothing
    class_weight: Tensor | None

    @classmethod
    def of(cls, rows: Rows) -> "Inputs":
        """Take over the rows."""

        def number(value: float) -> Tensor:
            return rows.logits.new_full((), value, dtype=accumulation_dtype(rows.logits.dtype))

        weight = number(rows.weight) if isinstance(rows.weight, float) else rows.weight
        smooth = number(rows.label_smoothing) if rows.label_smoothing and rows.target is not None else None
        return cls(rows.logits.detach(), rows.target, weight, number(rows.alpha), smooth, rows.class_weight)

    @property
    def label(self) -> Tensor | None:
        """The class of every row, `(rows, 1)`, where all the target's mass is on one."""
        if self.target is None or self.target.ndim == 2 or self.smooth is not None:
            return None
        return self.of_used(self.target.unsqueeze(-1), 0)

    def of_used(self, values: Tensor, otherwise: float) -> Tensor:
        """Values `(rows, ...)`, but in rows that do not count another one."""
        return values.masked_fill((self.weight == 0).unsqueeze(-1), otherwise) if self.weight.ndim else values


class Sums(NamedTuple):
    """What a visit of the logits leaves for every row, `(rows, 1)` each."""

    peaks: list[Tensor]  # a pass: the largest logit
    totals: list[Tensor]  # a pass: the sum of e^c, c = z - peak
    distance: Tensor  # K^2 (K - 1) kl
    spread: tuple[Tensor, Tensor] | None  # a target on many classes: its mass, and the sum of mass times c


def visit(inputs: Inputs, grad: tuple[Tensor, ...] | None) -> Sums:
    """The sums of every row, and the gradient into `grad`.

    (K - 1) kl = sum_k sum_j (p_k - mean p) (s_k - E_{p_k} s_k), s = c - mean c, whose gradient is
    p_k - mean p + p_k (s_k - E_{p_k} s_k).
    """
    passes, wide = len(inputs.logits), [one.to(accumulation_dtype(one.dtype)) for one in inputs.logits.unbind()]
    peaks = [one.amax(-1, keepdim=True) for one in wide]
    centred = [_centred(one, top) for one, top in zip(wide, peaks, strict=True)]
    powers = [one.exp() for one in centred]
    totals = [one.sum(-1, keepdim=True) for one in powers]
    away = _from_mean(centred)
    moments = [(e * s).sum(-1, keepdim=True) for e, s in zip(powers, away, strict=True)]
    shares = [n.reciprocal() for n in totals]
    away = [s - m * share for s, m, share in zip(away, moments, shares, strict=True)]
    prob = [e * share for e, share in zip(powers, shares, strict=True)]
    products = [p * s for p, s in zip(_from_mean(prob), away, strict=True)]
    distance = sum(products[1:], products[0]).sum(-1, keepdim=True)
    mass, whole, spread = _masses(inputs, wide, centred)
    weight = inputs.weight.unsqueeze(-1)
    pull = weight * (inputs.alpha * (1 / (passes * (passes - 1))))
    level = weight * whole + pull * passes
    for p, s, out in zip(prob, away, grad, strict=True) if grad is not None else ():
        full = p * (level + pull * s) - (pull * sum(prob[1:], prob[0]) + weight * mass)
        out.copy_(inputs.of_used(full, 0.0))
    return Sums(peaks, totals, distance, spread)


def finish(inputs: Inputs, sums: Sums, summed: bool) -> Parts:
    """What every row adds to the loss and its two parts, or their sums."""
    passes = len(sums.peaks)
    kl = sums.distance * (1 / (passes * passes * (passes - 1)))
    task, kl = (
        _weighted(inputs, part).sum() if summed else _weighted(inputs, part) for part in (_task(inputs, sums), kl)
    )
    # As `kernels.total`, of a tensor.
    return torch.where(inputs.alpha == 0, task, task + inputs.alpha * kl), task, kl


def _weighted(inputs: Inputs, part: Tensor) -> Tensor:
    """One number a row of `(rows, 1)`; a class masked in one pass and not in another makes it infinite."""
    found = part.masked_fill(part > torch.finfo(part.dtype).max ** 0.5, torch.inf)
    return inputs.of_used(found * inputs.weight.unsqueeze(-1), 0.0).squeeze(-1)


def _centred(logits: Tensor, peak: Tensor) -> Tensor:
    """Logits below their peak; -inf - -inf would be NaN, and a class masked in every pass has power 0 anyway."""
    return (logits - peak).clamp(min=torch.finfo(logits.dtype).min / 1e8)


def _from_mean(stack: list[Tensor]) -> list[Tensor]:
    """K (x_k - mean x), from differences: where the passes nearly agree the mean itself would round them away."""
    differences = [[one - other for other in stack if other is not one] for one in stack]
    return [sum(few[1:], few[0]) for few in differences]


def _masses(
    inputs: Inputs, wide: list[Tensor], centred: list[Tensor]
) -> tuple[Tensor | float, Tensor | float, tuple[Tensor, Tensor] | None]:
    """Every class's mass and that of all; where it is on many also the sums of `Sums.spread`."""
    target, label = inputs.target, inputs.label
    if target is None:
        return 0.0, 0.0, None
    classes = torch.arange(wide[0].shape[-1], device=wide[0].device, dtype=torch.int32)
    if label is not None:
        whole = _class_mass(inputs, label, wide[0])
        return torch.where(classes == label.to(torch.int32), whole, 0.0), whole, None
    mass = (target.unsqueeze(-1) == classes if target.ndim == 1 else target).to(wide[0].dtype)
    if inputs.smooth is not None:
        # A class that is masked in every pass gets nothing.
        seen = reduce(torch.maximum, wide) > -torch.inf
        mass = mass * (1 - inputs.smooth) + seen * (inputs.smooth / wide[0].shape[-1])
    if inputs.class_weight is not None:
        mass = mass * inputs.class_weight
    value = sum((mass * one for one in centred[1:]), mass * centred[0])
    spread = mass.sum(-1, keepdim=True), value.sum(-1, keepdim=True)
    return mass, spread[0], spread


def _class_mass(inputs: Inputs, label: Tensor, like: Tensor) -> Tensor:
    return like.new_ones(1, 1) if inputs.class_weight is None else inputs.class_weight[label]


def _task(inputs: Inputs, sums: Sums) -> Tensor:
    """The target's mass times -log p, summed over classes and passes, `(rows, 1)`."""
    logs, label = [n.log() for n in sums.totals], inputs.label
    if sums.spread is None and label is not None:
        hits = [one.gather(-1, label).to(logs[0].dtype) for one in inputs.logits.unbind()]
        costs = [n - _centred(z, top) for n, z, top in zip(logs, hits, sums.peaks, strict=True)]
        mass = _class_mass(inputs, label, logs[0])
        return torch.where(mass == 0, 0.0, sum(costs[1:], costs[0]) * mass)
    mass, value = sums.spread or (torch.zeros_like(logs[0]),) * 2
    return torch.where(mass == 0, 0.0, mass * sum(logs[1:], logs[0]) - value)
