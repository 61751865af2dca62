"""The kernels: one contract, several ways to fulfil it.

A kernel takes `Rows` and a buffer for the gradient, `torch.empty_like(logits)` (float32 for float16 logits) or the
logits themselves, and returns `Parts`, `(items,)` each, or their sums `()`: what every item adds to the loss,
weight_i (task_i + alpha kl_i), and to its two parts, weight_i task_i and weight_i kl_i, with

    task_i = sum_k sum_j u_ij (logsumexp(z_ki) - z_kij)                       (0 without a target)
    kl_i   = mean over pairs a<b of 1/2 [KL(p_a||p_b) + KL(p_b||p_a)]          (Eq. 2 of the paper)

in the accumulation dtype and without a graph, and writes d/dz of the summed loss into the buffer.
u is the smoothed and class-weighted target of `Rows`. Items of weight 0 are skipped: value 0, gradient 0.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from regdrop.losses.shapes import Float, Int


@dataclass(frozen=True, slots=True)
class Rows:
    """What a kernel is asked to compute, one row an item.

    Attributes:
        logits: `(passes, items, classes)`, any floating dtype.
        target: class indices `(items,)`, probabilities `(items, classes)`, or None for the divergence alone.
            An index of an item of weight 0 may be anything.
        weight: `(items,)` in the accumulation dtype: what one unit of an item's loss adds, 0 where it does not count;
            or one number, not 0, for all of them.
        alpha: weight of the divergence.
        label_smoothing: mass spread evenly over all classes, as in `torch.nn.functional.cross_entropy`.
        class_weight: `(classes,)` in the accumulation dtype, multiplies each class's term.
        summed: whether the sums over the items are asked for.
    """

    logits: Float[Tensor, "passes items classes"]
    target: Int[Tensor, " items"] | Float[Tensor, "items classes"] | None
    weight: Float[Tensor, " items"] | float
    alpha: float = 1.0
    label_smoothing: float = 0.0
    class_weight: Float[Tensor, " classes"] | None = None
    summed: bool = False


Parts = tuple[Tensor, Tensor, Tensor]  # the loss, its task part and the divergence
Kernel = Callable[[Rows, Tensor | None], Parts]


def total(task: Tensor, kl: Tensor, alpha: float) -> Tensor:
    """The task loss plus alpha times the divergence; alpha = 0 leaves out a divergence that is infinite, too."""
    return torch.add(task, kl, alpha=alpha) if alpha else task.clone()


def accumulation_dtype(dtype: torch.dtype) -> torch.dtype:
    """float64 stays float64; everything else is accumulated in float32."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def gradient_dtype(dtype: torch.dtype) -> torch.dtype:
    """In which a gradient waits for backward: float16 would lose what a gradient scaler is there to save."""
    return torch.float32 if dtype == torch.float16 else dtype
