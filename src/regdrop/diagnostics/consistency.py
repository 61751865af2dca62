"""How far the sub-models that dropout draws disagree with each other and with the full model."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from math import isfinite, log, sqrt

import torch
from torch import Tensor

from regdrop.errors import NonFiniteError
from regdrop.losses.divergence import directed_kl, symmetric_kl
from regdrop.losses.shapes import Float, Int

CHUNK_ELEMENTS = 1 << 22
ROUNDING = 1e-9  # nats: what rounding may leave between passes that agree


@dataclass(frozen=True, slots=True)
class Consistency:
    """What dropout does to the predictions of a model, as means over its valid items.

    P_k is the k-th sub-model (one draw of the noise), P the full model (no noise), A = mean over k of P_k the average,
    NLL(Q) = -log Q(label). Divergences and NLLs are in nats, the rest are fractions.

    Attributes:
        pairwise_kl: mean over pairs of 1/2 [KL(P_a || P_b) + KL(P_b || P_a)]: what R-Drop makes small (Eq. 2).
        total_variation: mean over pairs of 1/2 sum_j |P_a(j) - P_b(j)|.
        pairwise_disagreement: share of pairs whose most likely class differs.
        sub_to_full_kl: mean over k of KL(P_k || P).
        sub_to_full_disagreement: share of sub-models whose most likely class is not the full model's.
        average_to_full_kl: KL(A || P): how well the full model stands for the average it approximates.
        full_nll: NLL(P).
        sub_nll: mean over k of NLL(P_k).
        average_nll: NLL(A).
        full_accuracy: of P.
        sub_accuracy: mean over k, of P_k.
        average_accuracy: of A.
        loss_gap: |NLL(P) - mean over k of NLL(P_k)|, of the means over items: the left side of Proposition 2.1.
        loss_gap_constant: loss_gap / sqrt(pairwise_kl): the proposition's constant as measured; None where the KL is 0.
        jensen_gap: mean over k of NLL(P_k) - NLL(A), never negative: what averaging sub-models gains.
        accuracy_gain: average_accuracy - full_accuracy.

    Source: Eq. 2 and Proposition 2.1 of arXiv 2106.14448, which proves the bound for a linear model only.
    """

    pairwise_kl: float
    total_variation: float
    pairwise_disagreement: float
    sub_to_full_kl: float
    sub_to_full_disagreement: float
    average_to_full_kl: float
    full_nll: float
    sub_nll: float
    average_nll: float
    full_accuracy: float
    sub_accuracy: float
    average_accuracy: float
    loss_gap: float
    loss_gap_constant: float | None
    jensen_gap: float
    accuracy_gain: float


class ConsistencySums:
    """Sums over the items seen so far, so that batches of any size give the exact mean over items.

    Example:
        >>> sums = ConsistencySums()
        >>> sub = torch.tensor([[[0.0, 0.0]], [[0.0, 1.0]]])
        >>> sums.add(sub, torch.tensor([[0.0, 0.5]]), torch.tensor([1]))
        >>> print(f"{sums.means().pairwise_kl:.4f}")
        0.1155
    """

    def __init__(self) -> None:
        self.items = 0
        self._sums: defaultdict[str, float] = defaultdict(float)

    def add(
        self,
        sub: Float[Tensor, "passes items classes"],
        full: Float[Tensor, "items classes"],
        target: Int[Tensor, " items"],
    ) -> None:
        """Count some items in; every one of them is valid.

        Args:
            sub: logits of the sub-models.
            full: logits of the full model.
            target: class of each item.

        Raises:
            NonFiniteError: logits are NaN or infinite, or a label has probability 0.
        """
        self.items += len(target)
        step = max(1, CHUNK_ELEMENTS // (sub.shape[0] * sub.shape[-1]))
        for a, b, y in zip(torch.split(sub, step, 1), torch.split(full, step), torch.split(target, step), strict=True):
            for name, values in item_quantities(exact(a), exact(b), y.to(exact(b).device)).items():
                self._sums[name] += float(values.sum())
        self._refuse_non_finite()

    def means(self) -> Consistency:
        """The quantities per item; at least one item must have been added."""
        means = {name: total / self.items for name, total in self._sums.items()}
        loss_gap = abs(means["full_nll"] - means["sub_nll"])
        kl = means["pairwise_kl"]
        return Consistency(
            **means,
            loss_gap=loss_gap,
            loss_gap_constant=loss_gap / sqrt(kl) if kl > ROUNDING else None,
            jensen_gap=max(0.0, means["sub_nll"] - means["average_nll"]),
            accuracy_gain=means["average_accuracy"] - means["full_accuracy"],
        )

    def _refuse_non_finite(self) -> None:
        broken = [name for name, total in self._sums.items() if not isfinite(total)]
        if broken:
            raise NonFiniteError(
                f"{', '.join(broken)} not finite within the first {self.items} items: the model gives NaN or infinite "
                "logits, or a label probability 0; check the inputs, the labels and the precision"
            )


def item_quantities(
    sub: Float[Tensor, "passes items classes"], full: Float[Tensor, "items classes"], target: Int[Tensor, " items"]
) -> dict[str, Float[Tensor, " items"]]:
    """Every quantity of `Consistency` that is a mean over items, for each item.

    Args:
        sub: logits of the sub-models, at least two.
        full: logits of the full model.
        target: class of each item.
    """
    log_sub, log_full = sub.log_softmax(-1), full.log_softmax(-1)
    log_average = log_sub.logsumexp(0) - log(len(sub))
    prob = log_sub.exp()
    choices, choice = sub.argmax(-1), full.argmax(-1)
    return {
        "pairwise_kl": symmetric_kl(sub),
        "total_variation": _mean_over_pairs(prob, lambda a, b: (a - b).abs().sum(-1) / 2),
        "pairwise_disagreement": _mean_over_pairs(choices, lambda a, b: (a != b).to(prob.dtype)),
        "sub_to_full_kl": directed_kl(log_sub, log_full).mean(0),
        "sub_to_full_disagreement": (choices != choice).to(prob.dtype).mean(0),
        "average_to_full_kl": directed_kl(log_average, log_full).clamp(min=0),
        "full_nll": _nll(log_full, target),
        "sub_nll": _nll(log_sub, target.expand(len(sub), -1)).mean(0),
        "average_nll": _nll(log_average, target),
        "full_accuracy": (choice == target).to(prob.dtype),
        "sub_accuracy": (choices == target).to(prob.dtype).mean(0),
        "average_accuracy": (log_average.argmax(-1) == target).to(prob.dtype),
    }


def exact(logits: Tensor) -> Tensor:
    """The logits in float64, since gaps are small differences; on the CPU where the device has no float64."""
    return (logits.cpu() if logits.device.type == "mps" else logits).to(torch.float64)


def _mean_over_pairs(passes: Tensor, distance: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    pairs = list(combinations(passes, 2))
    return torch.stack([distance(a, b) for a, b in pairs]).mean(0)


def _nll(log_p: Tensor, target: Tensor) -> Tensor:
    return -log_p.gather(-1, target.unsqueeze(-1)).squeeze(-1)
