"""The paper's equations in slow float64 loops: what every fast path is compared with.

Plain autograd through log-softmax, one item and one pair of passes at a time; no code is shared with the package.
"""

from itertools import combinations

import torch
from torch import Tensor
from torch.nn.functional import log_softmax, logsigmoid


def cross_entropy(logits: Tensor, target: Tensor, smoothing: float, weight: Tensor | None) -> Tensor:
    """-sum_j w_j t_j log p_j of one item of one pass; t is a class index or a vector of probabilities."""
    classes = len(logits)
    log_p = log_softmax(logits, 0)
    total = logits.new_zeros(())
    for j in range(classes):
        mass = float(target[j]) if target.ndim else float(int(target) == j)
        mass = (1 - smoothing) * mass + smoothing / classes
        if mass:
            total = total - (1.0 if weight is None else weight[j]) * mass * log_p[j]
    return total


def kl(logits_a: Tensor, logits_b: Tensor) -> Tensor:
    """KL(p_a || p_b) of one item."""
    log_a, log_b = log_softmax(logits_a, 0), log_softmax(logits_b, 0)
    return sum(log_a[j].exp() * (log_a[j] - log_b[j]) for j in range(len(log_a)))


def bernoulli_kl(a: Tensor, b: Tensor) -> Tensor:
    """KL between two Bernoulli distributions given by their logits."""
    on = logsigmoid(a).exp() * (logsigmoid(a) - logsigmoid(b))
    off = logsigmoid(-a).exp() * (logsigmoid(-a) - logsigmoid(-b))
    return on + off


def mean_over_pairs(passes, divergence) -> Tensor:
    """Mean over unordered pairs of passes of a function of two of them."""
    values = [divergence(a, b) for a, b in combinations(passes, 2)]
    return sum(values) / len(values)


def classification(logits, target, alpha, smoothing=0.0, weight=None) -> tuple[Tensor, Tensor, Tensor]:
    """(loss, task loss, kl) of one item, logits (passes, classes): Eq. 4 of the paper."""
    task = sum(cross_entropy(z, target, smoothing, weight) for z in logits)
    divergence = mean_over_pairs(logits, lambda a, b: 0.5 * (kl(a, b) + kl(b, a)))
    return task + alpha * divergence, task, divergence


def regression(outputs, target, alpha) -> tuple[Tensor, Tensor, Tensor]:
    """(loss, task loss, divergence) of one number, outputs (passes,): appendix A.4 of the paper."""
    task = sum((z - target) ** 2 for z in outputs)
    divergence = mean_over_pairs(outputs, lambda a, b: (a - b) ** 2)
    return task + alpha * divergence, task, divergence


def multilabel(logits, target, alpha) -> tuple[Tensor, Tensor, Tensor]:
    """(loss, task loss, kl) of one label, logits (passes,)."""
    task = sum(-(target * logsigmoid(z) + (1 - target) * logsigmoid(-z)) for z in logits)
    divergence = mean_over_pairs(logits, lambda a, b: 0.5 * (bernoulli_kl(a, b) + bernoulli_kl(b, a)))
    return task + alpha * divergence, task, divergence


def logit_mse(logits) -> Tensor:
    """Mean over pairs and classes of the squared difference of two passes' logits of one item, (passes, classes)."""
    return mean_over_pairs(logits, lambda a, b: sum((a[j] - b[j]) ** 2 for j in range(len(a))) / len(a))


def full_kl(logits, full) -> Tensor:
    """Mean over the passes of the KL of one item from the full model's distribution, which is held fixed."""
    return sum(kl(full.detach(), z) for z in logits) / len(logits)


def batch_mean(item, logits, target, valid, alpha, **options) -> tuple[Tensor, Tensor, Tensor]:
    """Mean over valid items of (loss, task loss, divergence); logits (passes, items, ...), target (items, ...)."""
    rows = [item(logits[:, i], target[i], alpha, **options) for i in range(len(target)) if valid[i]]
    return tuple(sum(parts) / len(rows) for parts in zip(*rows, strict=True))


def value_and_gradient(item, logits, target, valid, alpha, **options):
    """`batch_mean` in float64 with the gradient of its loss: (loss, task loss, divergence, gradient)."""
    logits = logits.detach().double().requires_grad_()
    loss, task, divergence = batch_mean(item, logits, target, valid, alpha, **options)
    (gradient,) = torch.autograd.grad(loss, logits)
    return loss.detach(), task.detach(), divergence.detach(), gradient
