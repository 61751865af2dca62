"""Whether a model is right as often as it is sure."""

from dataclasses import dataclass

import torch
from torch import Tensor

from regdrop.diagnostics.consistency import exact
from regdrop.losses.shapes import Bool, Float, Int

BINS = 15


@dataclass(frozen=True, slots=True)
class Bin:
    """The items whose confidence, the probability of the most likely class, lies in `[low, high)`; the last has 1 too.

    Attributes:
        low: lower end.
        high: upper end.
        items: how many there are.
        confidence: their mean confidence; None in an empty bin.
        accuracy: share of them that is right; None in an empty bin.
    """

    low: float
    high: float
    items: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True, slots=True)
class Calibration:
    """The reliability of a model.

        ece = sum over bins of (items / all items) * |accuracy - confidence|

    Attributes:
        ece: expected calibration error, a fraction.
        bins: of equal width, from 0 to 1: the bars of a reliability picture.

    Source: Guo et al., arXiv 1706.04599, Eq. 3.
    """

    ece: float
    bins: tuple[Bin, ...]


class CalibrationSums:
    """Sums over the items seen so far, a row a bin.

    Args:
        bins: how many bins of equal width.

    Example:
        >>> sums = CalibrationSums(bins=10)
        >>> sums.add(torch.tensor([[0.0, 0.0]]), torch.tensor([0]))
        >>> sums.result().ece
        0.5
    """

    def __init__(self, bins: int) -> None:
        self._sums = torch.zeros(bins, 3, dtype=torch.float64)

    def add(self, logits: Float[Tensor, "items classes"], target: Int[Tensor, " items"]) -> None:
        """Count some items in; every one of them is valid.

        Args:
            logits: of the full model.
            target: class of each item.
        """
        confidence, choice = exact(logits).softmax(-1).max(-1)
        self.count(confidence, choice == target.to(choice.device))

    def count(self, confidence: Float[Tensor, " items"], right: Bool[Tensor, " items"]) -> None:
        """Count some items in by what their logits came to.

        Args:
            confidence: probability of the most likely class; NaN makes the error NaN.
            right: whether that class is the item's.
        """
        sure = exact(confidence).cpu()
        rows = torch.stack([torch.ones_like(sure), sure, right.to(sure)], 1)
        bins = len(self._sums)
        place = (sure * bins).long().clamp(0, bins - 1)
        self._sums.index_add_(0, place, rows)

    def result(self) -> Calibration:
        """The calibration over all items; at least one must have been added."""
        items = float(self._sums[:, 0].sum())
        ece = float((self._sums[:, 2] - self._sums[:, 1]).abs().sum()) / items
        return Calibration(ece, tuple(self._bin(place) for place in range(len(self._sums))))

    def _bin(self, place: int) -> Bin:
        items, confidence, right = self._sums[place].tolist()
        low, high = (edge / len(self._sums) for edge in (place, place + 1))
        if not items:
            return Bin(low, high, 0, None, None)
        return Bin(low, high, int(items), confidence / items, right / items)
