"""The divergence between passes on its own: Eq. 2 of the paper; and one direction of it, between any two."""

import torch
from torch import Tensor

from regdrop.losses.fused import fused_rows
from regdrop.losses.inputs import check_passes
from regdrop.losses.kernels import Rows
from regdrop.losses.kernels.dispatch import Backend
from regdrop.losses.shapes import Float


def symmetric_kl(
    logits: Float[Tensor, " passes *items classes"], *, backend: Backend = "auto"
) -> Float[Tensor, " *items"]:
    """Symmetric Kullback-Leibler divergence between passes, for every item.

        kl_i = mean over pairs a<b of 1/2 [KL(p_a || p_b) + KL(p_b || p_a)],   p_k = softmax(z_k)

    Args:
        logits: scores before the softmax, `(K, N, C)` or `(K, B, T, V)`, K >= 2 passes, any floating dtype.
        backend: how it is computed; see `r_drop_loss`.

    Returns:
        Nats per item in float32 (float64 for float64 logits), shape `(N,)` or `(B, T)`. Nothing is masked; a class
        that is -inf in every pass contributes 0, one that is -inf in some passes only makes the value infinite.

    Raises:
        InputError: fewer than two passes, or logits that are not floating point.

    Source: Eq. 2 of arXiv 2106.14448, with its 1/2.

    Relations: `r_drop_loss` adds `alpha` times its mean over the valid items to the task loss.

    Example:
        >>> import torch
        >>> z = torch.tensor([[[0.0, 0.0]], [[0.0, 1.0]]])
        >>> symmetric_kl(z)
        tensor([0.1155])
    """
    check_passes(logits, 2, "(passes, items, classes)")
    items = logits.shape[1:-1]
    flat = logits.reshape(logits.shape[0], -1, logits.shape[-1])
    return fused_rows(Rows(flat, None, 1.0), backend=backend)[0].reshape(items)


def directed_kl(log_p: Float[Tensor, "... classes"], log_q: Float[Tensor, "... classes"]) -> Float[Tensor, "..."]:
    """Kullback-Leibler divergence of one distribution from another, for every row.

        KL(p || q) = sum_j p_j (log p_j - log q_j)

    Args:
        log_p: log-probabilities, any shape with the classes last. A class that p leaves out (-inf) adds nothing, also
            where q leaves it out too.
        log_q: log-probabilities of the same shape, or one that broadcasts with it.

    Returns:
        Nats a row. The gradient with respect to `log_q` is -p; that of `log_p` is NaN where both leave a class out.

    Relations: half the sum of both directions is `symmetric_kl` of two passes, which keeps more digits.

    Example:
        >>> p, q = torch.tensor([[0.5, 0.5]]), torch.tensor([[0.25, 0.75]])
        >>> directed_kl(p.log(), q.log())
        tensor([0.1438])
    """
    prob = log_p.exp()
    return torch.where(prob == 0, 0.0, prob * (log_p - log_q)).sum(-1)
