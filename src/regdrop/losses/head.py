"""The output layer and the kernel over chunks of items: the full logits never exist."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from regdrop.losses.kernels import Kernel, Parts, Rows, accumulation_dtype, gradient_dtype
from regdrop.losses.shapes import Float

# Under about 256 rows a matrix product waits for its weights; over about 1,024 nothing is won.
FEWEST_ROWS, MOST_ROWS = 256, 1024
LOGITS_SHARE = 7  # between the two, one chunk holds at most this fraction of the full logits
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


def head_rows(head: Head, rows: Rows, kernel: Kernel, wanted: tuple[bool, ...]) -> tuple[Parts, Gradients]:
    """What the items add to the loss, as in `regdrop.losses.kernels`, and the gradients that are wanted.

    Args:
        head: the layer; its logits are the kernel's.
        rows: all but the logits, of which it needs the shape alone.
        kernel: computes value and gradient of a chunk, in place.
        wanted: of hidden, weight and bias; a gradient that is not wanted is not computed.
    """
    shape = () if rows.summed else (rows.logits.shape[1],)
    dtype = accumulation_dtype(rows.logits.dtype)
    loss, task, kl = (rows.logits.new_zeros(shape, dtype=dtype) for _ in range(3))
    grads = _Sums(head, wanted)
    with _without_autocast(head.hidden):
        for index, buffer in _chunks(rows):
            logits, hidden = head.logits(index, buffer)
            stacked = logits.view(-1, len(index), logits.shape[1])
            found = kernel(_select(rows, index, stacked), stacked if any(wanted) else None)
            for whole, part in zip((loss, task, kl), found, strict=True):
                whole.add_(part) if rows.summed else whole.index_copy_(0, index, part)
            grads.add(index, hidden, logits)
    return (loss, task, kl), grads.result()


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
        self._hidden = torch.zeros_like(head.hidden, dtype=gradient_dtype(head.hidden.dtype)) if wanted[0] else None
        # Filled by the first chunk: in a large layer, writing zeros before would show.
        self._weight = torch.empty_like(head.weight, dtype=dtype) if wanted[1] else None
        self._bias = head.weight.new_zeros(len(head.weight), dtype=dtype) if wanted[2] else None
        self._filled = False

    def add(self, index: Tensor, hidden: Tensor, grad: Tensor) -> None:
        """Add what one chunk gives; `grad` is d loss / d logits of its items."""
        if self._hidden is not None:
            product = (grad @ self._layer).view(-1, len(index), self._layer.shape[1])
            self._hidden.index_copy_(1, index, product.to(self._hidden.dtype))
        if self._weight is not None:
            _add_product(self._weight, grad, hidden, self._filled)
        if self._bias is not None:
            self._bias += grad.sum(0, dtype=self._bias.dtype)
        self._filled = True

    def result(self) -> Gradients:
        """The gradients of hidden, weight and bias, where wanted."""
        if self._weight is not None and not self._filled:
            self._weight.zero_()
        return self._hidden, self._weight, self._bias


def _add_product(total: Tensor, grad: Tensor, hidden: Tensor, filled: bool) -> None:
    """Add grad.T @ hidden to a filled sum or begin it, a tile of classes at a time where it has more digits."""
    if total.dtype == grad.dtype:
        total.addmm_(grad.t(), hidden, beta=int(filled))
        return
    step = max(1, TILE_BYTES // (total.shape[1] * grad.element_size()))
    for tile, columns in zip(torch.split(total, step), torch.split(grad, step, dim=1), strict=True):
        product = columns.t() @ hidden
        tile.add_(product) if filled else tile.copy_(product)
