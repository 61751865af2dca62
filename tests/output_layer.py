"""A small output layer with random parts, and its loss with and without the logits."""

import torch
from torch.nn.functional import linear

from regdrop import linear_r_drop_loss, r_drop_loss

FEATURES, CLASSES = 4, 7
ALPHA = 1.7


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def labels(*shape, seed=1, classes=CLASSES):
    return torch.randint(classes, shape, generator=torch.Generator().manual_seed(seed))


def layer(*items, passes=2, biased=True, seed=0, dtype=torch.float64):
    """Hidden states, weight and perhaps bias, all of which want a gradient."""
    bias = [normal(CLASSES, seed=seed + 2)] if biased else []
    parts = [normal(passes, *items, FEATURES, seed=seed), normal(CLASSES, FEATURES, seed=seed + 1), *bias]
    return [part.to(dtype).requires_grad_() for part in parts]


def fused(parts, target, **arguments):
    hidden, weight, *bias = parts
    return linear_r_drop_loss(hidden, weight, target, *bias, **({"alpha": ALPHA} | arguments))


def unfused(parts, target, **arguments):
    return r_drop_loss(linear(*parts), target, **({"alpha": ALPHA} | arguments))


def gradients(loss, parts, outer=None):
    return torch.autograd.grad(loss, [part for part in parts if part.requires_grad], outer)


def assert_same(got, want, parts, outer=None, **tolerance):
    for name in ("loss", "task_loss", "kl"):
        torch.testing.assert_close(getattr(got, name), getattr(want, name), **tolerance)
    torch.testing.assert_close(gradients(got.loss, parts, outer), gradients(want.loss, parts, outer), **tolerance)
