"""What one item adds to the loss: its task loss over all passes, and the divergence between them.

Paddle's own `kl_div` gives its target no gradient and its log-softmax on a CPU stops at -64, so neither is used here:
everything is made of `exp`, `log` and sums, which Paddle differentiates.
"""

import paddle
from paddle import Tensor


def softmax_terms(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy with a dense target `(*items, classes)` summed over the passes, and Eq. 2, of each item.

    With c_k = z_k - max z_k, s_k = c_k - mean c and q the mean of the passes' probabilities p_k,

        (K - 1) kl = sum_k sum_j (p_k - q)_j (s_k - E_{p_k} s_k)_j

    which keeps its digits when the passes nearly agree or share an offset, and so does its gradient.
    """
    centred = logits - logits.max(-1, keepdim=True).detach()
    exps = centred.exp()
    total = exps.sum(-1, keepdim=True)
    prob = exps / total
    picked = paddle.where(target == 0, paddle.zeros([1], centred.dtype), target * centred)
    task = (target.sum(-1) * total.squeeze(-1).log() - picked.sum(-1)).sum(0)
    # A class masked in every pass must cancel exactly: -inf - -inf is NaN, lowest - lowest is 0.
    spread = centred.clip(min=paddle.finfo(centred.dtype).min / 1e3)
    spread = spread - spread.mean(0)
    spread = spread - (prob * spread).sum(-1, keepdim=True)
    kl = ((prob - prob.mean(0)) * spread).sum([0, -1]) / (logits.shape[0] - 1)
    return task, _unbounded(kl)


def multilabel_terms(logits: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """Binary cross-entropy summed over the passes, and the symmetric KL of Bernoulli distributions, of each entry.

    A label is a choice between two classes, "off" with logit 0 and "on" with logit z.
    """
    pairs = paddle.stack([paddle.zeros_like(logits), logits], -1)
    return softmax_terms(pairs, paddle.stack([1 - label, label], -1))


def squared_terms(outputs: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """Squared errors summed over the passes, and the mean over pairs of (z_a - z_b)^2, of each entry."""
    task = (outputs - label).square().sum(0)
    # The mean over pairs is 2 / (K - 1) sum_a (z_a - mean z)^2: linear in K.
    return task, (outputs - outputs.mean(0)).square().sum(0) * (2 / (outputs.shape[0] - 1))


def dense_target(label: Tensor, logits: Tensor, smoothing: float, class_weight: Tensor | None) -> Tensor:
    """The smoothed and weighted target `(*items, classes)`; smoothing gives nothing to classes masked everywhere."""
    classes = logits.shape[-1]
    target = label if paddle.is_floating_point(label) else paddle.nn.functional.one_hot(label, classes)
    target = target.astype(logits.dtype)
    if smoothing:
        reachable = (logits > -float("inf")).any(0).astype(logits.dtype)
        target = (1 - smoothing) * target + smoothing / classes * reachable
    return target if class_weight is None else target * class_weight.astype(logits.dtype)


def accumulated(logits: Tensor) -> Tensor:
    """float64 stays float64; everything else is computed in float32."""
    return logits if logits.dtype == paddle.float64 else logits.astype("float32")


def _unbounded(kl: Tensor) -> Tensor:
    """A class masked in one pass and not in another makes the true divergence infinite: say so."""
    zero = paddle.zeros([1], kl.dtype)
    return kl + paddle.where(kl > paddle.finfo(kl.dtype).max ** 0.5, zero + float("inf"), zero)
