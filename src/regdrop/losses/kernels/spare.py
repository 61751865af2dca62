"""The buffers of the eager kernel."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from regdrop.losses.kernels import Rows, accumulation_dtype


class Spare(NamedTuple):
    """Buffers in the accumulation dtype, written again by every chunk; None where a single one makes its own."""

    wide: Tensor | None  # the logits, where they have another dtype: (passes, rows, classes)
    lent: bool  # whether the probabilities of two passes wait where their gradient goes
    prob: Tensor | None  # else, (passes, rows, classes)
    differences: Sequence[Tensor | None]  # one a pair of passes, (rows, classes) each
    product: Tensor | None  # (rows, classes)

    @classmethod
    def of(cls, rows: Rows, chunk: Rows, grad: Tensor | None) -> "Spare":
        """The buffers for chunks that are as large as this one; `grad` is where its gradient goes."""
        passes, items, classes = chunk.logits.shape
        dtype, pairs = accumulation_dtype(chunk.logits.dtype), passes * (passes - 1) // 2

        def buffer(*count: int) -> Tensor:
            return torch.empty((*count, items, classes), dtype=dtype, device=chunk.logits.device)

        wide = None if dtype == chunk.logits.dtype else buffer(passes)
        lent = wide is None and passes == 2 and grad is not None and not _same_memory(grad, chunk.logits)
        if chunk is rows:
            return cls(wide, lent, None, (None,) * pairs, None)
        return cls(wide, lent, None if lent else buffer(passes), buffer(pairs).unbind(), buffer())

    def first(self, count: int) -> "Spare":
        """The buffers of fewer rows."""
        wide, lent, prob, differences, product = self
        if product is None or len(product) == count:
            return self
        wide, prob = (None if one is None else one[:, :count] for one in (wide, prob))
        return Spare(wide, lent, prob, [d[:count] for d in differences if d is not None], product[:count])


def _same_memory(one: Tensor, other: Tensor) -> bool:
    """Whether they begin at the same place; an outer torch.compile, which knows no places, is told that they do."""
    return torch.compiler.is_compiling() or one.data_ptr() == other.data_ptr()
