"""Pairs of passes, as the eager kernel compares them."""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import torch
from torch import Tensor

from regdrop.losses.reduction import can_look

# A larger distance means that a class is masked in one pass and not in another.
LARGEST = {dtype: torch.finfo(dtype).max ** 0.5 for dtype in (torch.float32, torch.float64)}


class Pair(NamedTuple):
    """Two passes and KL(p_a||p_b) + KL(p_b||p_a) = sum_j (p_a - p_b)_j (d_j - E_{p_a} d), d = z_a - z_b.

    Centred, it keeps its digits when the passes nearly agree or share an offset.
    """

    a: int
    b: int
    centred: Tensor  # d - E_{p_a} d, (rows, classes)
    distance: Tensor  # (rows, 1)

    @classmethod
    def of(cls, a: int, b: int, prob: Sequence[Tensor], difference: Tensor, product: Tensor) -> "Pair":
        """Compare two passes, given their `difference` and a buffer; both are overwritten."""
        mean = torch.mul(prob[a], difference, out=product).sum(-1, keepdim=True)
        centred = difference.sub_(mean)
        distance = torch.sub(prob[a], prob[b], out=product).mul_(centred).sum(-1, keepdim=True)
        return cls(a, b, centred, distance)


def compare(
    logits: Sequence[Tensor], prob: Sequence[Tensor], differences: Sequence[Tensor | None], product: Tensor
) -> tuple[list[Pair], bool]:
    """All pairs of passes, and whether their distances are known to be finite and in range.

    Args:
        logits: of every pass, `(rows, classes)`.
        prob: their probabilities.
        differences: a buffer a pair, or None for a new one.
        product: a buffer, `(rows, classes)`.
    """
    rooms = list(zip(combinations(range(len(prob)), 2), differences, strict=True))

    def pairs(masked: bool) -> list[Pair]:
        return [Pair.of(a, b, prob, _difference(logits[a], logits[b], room, masked), product) for (a, b), room in rooms]

    if can_look(logits[0]):
        found = pairs(masked=False)
        if all(pair.distance.amax().item() < LARGEST[pair.distance.dtype] for pair in found):
            return found, True
    return pairs(masked=True), False


def _difference(one: Tensor, other: Tensor, room: Tensor | None, masked: bool) -> Tensor:
    """A class masked in both passes must contribute 0, but -inf - -inf is NaN; in one of them, it stays finite."""
    difference = torch.sub(one, other, out=room)
    if not masked:
        return difference
    large = torch.finfo(difference.dtype).max / 16
    return difference.nan_to_num_(nan=0.0, posinf=large, neginf=-large)
