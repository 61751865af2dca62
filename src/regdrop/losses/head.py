"""The output layer and the kernel over chunks of items: the full logits never exist."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from regdrop.losses.kernels import Kernel, Rows, accumulation_dtype, gradient_dtype
from regdrop.losses.shapes import Float

# Under about 256 rows a matrix product waits for its weights; over about 512 nothing is won.
FEWEST_ROWS, MOST_ROWS = 256, 512
LOGITS_SHARE = 8  # between the two, one chunk holds at most this fraction of the full logits
TILE_BYTES = 1 << 24

Gradients = tuple[Tensor | None, ...]


@dataclass(frozen=True, slots=True)
class Head:
    """A linear output layer and what it is applied to: logits = hidden @ weight.T + bias.

    Attributes:
        hidden: `(passes, items, features)`.
        weight: `(classes, features)`, the same dtype.
        bias: `(classes,)`, the same dtype, or None.
    """

    hidden: Float[Tensor, "passes items features"]
    weight: Float[Tensor, "classes features"]
    bias: Float[Tensor, " classes"] | None

    def logits(self, index: Tensor, buffer: Tensor) -> tuple[Tensor, Tensor]:
        """Logits `(passes * chunk, classes)` of some items, written into the buffer, and their hidden states."""
        passes, classes = self.hidden.shape[0], self.weight.shape[0]
        hidden = self.hidden.index_select(1, index).flatten(0, 1)
        logits = buffer[: passes * len(index) * classes].view(-1, classes)
        if self.bias is None:
            torch.mm(hidden, self.weight.t(), out=logits)
        else:
            torch.addmm(self.bias, hidden, self.weight.t(), out=logits)
        return logits, hidden


def head_rows(head: Head, rows: Rows, kernel: Kernel, wanted: tuple[bool, ...]) -> tuple[Tensor, Gradients]:
    """What the items add to the loss, as in `regdrop.losses.kernels`, and the gradients that are wanted.

    Args:
        head: the layer; its logits are the kernel's.
        rows: all but the logits, of which it needs the shape alone.
        kernel: computes value and gradient of a chunk, in place.
        wanted: of hidden, weight and bias; a gradient that is not wanted is not computed.
    """
    shape = (2,) if rows.summed else (2, rows.logits.shape[1])
    shares = rows.logits.new_zeros(shape, dtype=accumulation_dtype(rows.logits.dtype))
    grads = _Sums(head, wanted)
    with _without_autocast(head.hidden):
        for index, buffer in _chunks(rows):
            logits, hidden = head.logits(index, buffer)
            stacked = logits.view(-1, len(index), logits.shape[1])
            part = kernel(_select(rows, index, stacked), stacked if any(wanted) else None)
            shares.add_(part) if rows.summed else shares.index_copy_(1, index, part)
            grads.add(index, hidden, logits)
    return shares, (grads.hidden, grads.weight, grads.bias)


def _chunks(rows: Rows) -> Iterator[tuple[Tensor, Tensor]]:
    """The items that count, some at a time, and a buffer for their logits; the others never meet the layer."""
    passes, _, classes = rows.logits.shape
    counted = _counted(rows)
    step = max(1, min(MOST_ROWS, max(FEWEST_ROWS, passes * len(counted) // LOGITS_SHARE)) // passes)
    buffer = rows.logits.new_empty(passes * min(step, len(counted)) * classes)
    for index in torch.split(counted, step):
        if len(index):
            yield index, buffer


def _counted(rows: Rows) -> Tensor:
    if isinstance(rows.weight, float):
        return torch.arange(rows.logits.shape[1], device=rows.logits.device)
    return rows.weight.nonzero().squeeze(-1)


def _select(rows: Rows, index: Tensor, logits: Tensor) -> Rows:
    target = None if rows.target is None else rows.target.index_select(0, index)
    weight = rows.weight if isinstance(rows.weight, float) else rows.weight.index_select(0, index)
    return replace(rows, logits=logits, target=target, weight=weight)


def _without_autocast(tensor: Tensor) -> AbstractContextManager[object]:
    """The dtypes are settled already; a second cast would copy the weight for every chunk."""
    return torch.autocast(tensor.device.type, enabled=False)


class _Sums:
    """Gradients of hidden, weight and bias over chunks; those of weight and bias in the accumulation dtype."""

    def __init__(self, head: Head, wanted: tuple[bool, ...]) -> None:
        dtype = accumulation_dtype(head.weight.dtype)
        self._layer = head.weight
        self.hidden = torch.zeros_like(head.hidden, dtype=gradient_dtype(head.hidden.dtype)) if wanted[0] else None
        self.weight = torch.zeros_like(head.weight, dtype=dtype) if wanted[1] else None
        self.bias = head.weight.new_zeros(len(head.weight), dtype=dtype) if wanted[2] else None

    def add(self, index: Tensor, hidden: Tensor, grad: Tensor) -> None:
        """Add what one chunk gives; `grad` is d loss / d logits of its items."""
        if self.hidden is not None:
            product = (grad @ self._layer).view(-1, len(index), self._layer.shape[1])
            self.hidden.index_copy_(1, index, product.to(self.hidden.dtype))
        if self.weight is not None:
            _add_product(self.weight, grad, hidden)
        if self.bias is not None:
            self.bias += grad.sum(0, dtype=self.bias.dtype)


def _add_product(total: Tensor, grad: Tensor, hidden: Tensor) -> None:
    """Add grad.T @ hidden, a tile of classes at a time where the sum has more digits than the product."""
    if total.dtype == grad.dtype:
        total.addmm_(grad.t(), hidden)
        return
    step = max(1, TILE_BYTES // (total.shape[1] * grad.element_size()))
    for tile, columns in zip(torch.split(total, step), torch.split(grad, step, dim=1), strict=True):
        tile.add_(columns.t() @ hidden)
