"""The peers: what people compute today, written from the published formula with plain PyTorch."""

import torch
from torch import Tensor
from torch.nn import functional


def official(first: Tensor, second: Tensor, target: Tensor, alpha: float) -> Tensor:
    """The formula of the paper's README: every divergence recomputes its own softmaxes.

        1/2 (CE(z1) + CE(z2)) + alpha * 1/2 (sum KL(p2||p1) + sum KL(p1||p2))

    Args:
        first: logits of the first pass, `(items, classes)`.
        second: logits of the second pass, the same shape.
        target: class indices `(items,)`.
        alpha: weight of the divergence, which the README sums over the batch.
    """
    task = 0.5 * (functional.cross_entropy(first, target) + functional.cross_entropy(second, target))
    forward = functional.kl_div(
        functional.log_softmax(first, dim=-1), functional.softmax(second, dim=-1), reduction="none"
    ).sum()
    backward = functional.kl_div(
        functional.log_softmax(second, dim=-1), functional.softmax(first, dim=-1), reduction="none"
    ).sum()
    return task + alpha * (forward + backward) / 2


def careful(first: Tensor, second: Tensor, target: Tensor, alpha: float) -> Tensor:
    """The same number from two log-softmaxes shared by all terms: what a careful engineer writes by hand.

    Args: as `official`.
    """
    log_p, log_q = functional.log_softmax(first, dim=-1), functional.log_softmax(second, dim=-1)
    task = 0.5 * (functional.nll_loss(log_p, target) + functional.nll_loss(log_q, target))
    divergence = ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum()
    return task + alpha * divergence / 2


def leaves(passes: int, items: int, classes: int, dtype: torch.dtype, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Random stacked logits `(passes, items, classes)` that want a gradient, and targets `(items,)`."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(passes, items, classes, generator=generator).mul_(2).to(dtype).requires_grad_()
    return logits, torch.randint(classes, (items,), generator=generator)
