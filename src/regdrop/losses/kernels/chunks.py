"""Which rows are worked on together: enough that starting an operation costs little, few enough to stay in cache."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import repeat
from typing import Any

import torch
from torch import Tensor

from regdrop.losses.kernels import Rows

ELSEWHERE = 1 << 22


def chunks(rows: Rows, grad: Tensor | None, elements: Mapping[str, int]) -> Iterator[tuple[Rows, Tensor | None]]:
    """Split the rows and the buffer for their gradient into runs of about so many logits, by device type.

    Example:
        >>> import torch
        >>> [len(part.logits[0]) for part, _ in chunks(Rows(torch.empty(2, 5, 100), None, 1.0), None, {"cpu": 400})]
        [2, 2, 1]
    """
    passes, items, classes = rows.logits.shape
    step = max(1, elements.get(rows.logits.device.type, ELSEWHERE) // (passes * classes))
    if items <= step:  # slices cost as much as arithmetic where the logits are few
        if items:
            yield rows, grad
        return
    each = _split(rows.target, step), _split(rows.weight, step), _split(grad, step, 1)
    for logits, target, weight, out in zip(torch.split(rows.logits, step, 1), *each, strict=False):
        yield replace(rows, logits=logits, target=target, weight=weight), out


def _split(whole: Any, step: int, dim: int = 0) -> Iterable[Any]:
    """Runs of a tensor; of anything else, itself without end."""
    return torch.split(whole, step, dim) if isinstance(whole, Tensor) else repeat(whole)
