"""Which rows are worked on together: enough that starting an operation costs little, few enough to stay in cache."""

from collections.abc import Iterator, Mapping

from torch import Tensor

ELSEWHERE = 1 << 22


def chunks(logits: Tensor, elements: Mapping[str, int]) -> Iterator[slice]:
    """Split the items of `(passes, items, classes)` into runs of about so many elements, by device type.

    Example:
        >>> import torch
        >>> list(chunks(torch.empty(2, 5, 100), {"cpu": 400}))
        [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    passes, items, classes = logits.shape
    step = max(1, elements.get(logits.device.type, ELSEWHERE) // (passes * classes))
    for start in range(0, items, step):
        yield slice(start, min(start + step, items))
