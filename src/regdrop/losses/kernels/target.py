"""What the passes should predict, as the eager kernel uses it: one class a row, or mass on every class."""

from dataclasses import dataclass

import torch
from torch import Tensor

from regdrop.losses.kernels import Rows
from regdrop.losses.reduction import can_look


@dataclass(frozen=True, slots=True)
class Target:
    """What the passes should predict: one class a row, or mass on all classes."""

    index: Tensor | None  # (passes, rows, 1)
    dense: Tensor | None  # (rows, classes)
    mass: Tensor | float  # of all classes, (rows, 1) where it varies

    @classmethod
    def of(cls, rows: Rows, wide: Tensor) -> "Target":
        """The target of some rows, whose logits in the accumulation dtype are `wide`."""
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

    def value(self, wide: Tensor, prob: Tensor) -> Tensor:
        """Minus mass times log p, summed over classes and passes, `(rows,)`."""
        if self.dense is not None:
            return torch.where(self.dense == 0, 0.0, self.dense * wide.log_softmax(-1)).sum((0, -1)).neg_()
        if self.index is None:
            return prob.new_zeros(prob.shape[1])
        value = _log_prob(wide, prob, self.index).sum(0)
        if isinstance(self.mass, Tensor):
            value = value.mul_(self.mass).masked_fill_(self.mass == 0, 0.0)
        return value.squeeze(-1).neg_()

    def subtract(self, weight: float, out: Tensor) -> None:
        """Take the weighted mass off the gradient."""
        if self.dense is not None:
            out.sub_(self.dense, alpha=weight)
        elif self.index is not None:
            if isinstance(self.mass, Tensor):
                out.scatter_add_(-1, self.index, (self.mass * -weight).expand(self.index.shape))
            else:
                out.scatter_(-1, self.index, -weight * self.mass, reduce="add")


def _log_prob(wide: Tensor, prob: Tensor, index: Tensor) -> Tensor:
    """Logarithms of the indexed probabilities; only where one has underflowed are the logits looked at again."""
    picked = prob.gather(-1, index)
    if can_look(picked) and picked.min().item() > 1e-30:
        return picked.log_()
    return wide.log_softmax(-1).gather(-1, index)
