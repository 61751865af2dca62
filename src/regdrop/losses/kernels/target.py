"""What the passes should predict, as the eager kernel uses it: one class a row, or mass on every class."""

from typing import NamedTuple

import torch
from torch import Tensor

from regdrop.losses.kernels import Rows
from regdrop.losses.reduction import can_look


class Target(NamedTuple):
    """What the passes should predict: one class a row, or mass on all classes."""

    label: Tensor | None  # (passes, rows, 1)
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

    def log_likelihood(self, wide: Tensor, prob: Tensor) -> Tensor:
        """Mass times log p, `(..., rows, 1)`: to be summed over all dimensions but the rows."""
        if self.dense is not None:
            return torch.where(self.dense == 0, 0.0, self.dense * wide.log_softmax(-1)).sum(-1, keepdim=True)
        if self.label is None:
            return prob.new_zeros(*prob.shape[1:-1], 1)
        value = _log_prob(wide, prob, self.label)
        if isinstance(self.mass, Tensor):
            value = value.mul_(self.mass).masked_fill_(self.mass == 0, 0.0)
        return value

    def subtract(self, weight: float, out: Tensor) -> None:
        """Take the weighted mass off the gradient."""
        if self.dense is not None:
            out.sub_(self.dense, alpha=weight)
        elif self.label is not None:
            if isinstance(self.mass, Tensor):
                out.scatter_add_(-1, self.label, (self.mass * -weight).expand(self.label.shape))
            else:
                out.scatter_(-1, self.label, -weight * self.mass, reduce="add")


def _log_prob(wide: Tensor, prob: Tensor, index: Tensor) -> Tensor:
    """Logarithms of the indexed probabilities; only where one has underflowed are the logits looked at again."""
    picked = prob.gather(-1, index)
    if can_look(picked) and picked.min().item() > 1e-30:
        return picked.log_()
    return wide.log_softmax(-1).gather(-1, index)
