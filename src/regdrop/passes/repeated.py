"""The modes that run the whole model for every pass: all passes in one batch, or one after another."""

from typing import Any

import torch
from torch import Tensor

from regdrop.passes.batch import batch_size, repeat_batch
from regdrop.passes.outputs import map_tensors
from regdrop.passes.request import Passes, Request


def concat(request: Request) -> Passes:
    """One forward of the repeated batch `[x; x]`."""
    output = yield repeat_batch(request.call, request.options.passes, request.options.shared)
    return by_pass(output, request.options.passes, batch_size(request.call))


def by_pass(output: Any, passes: int, size: int) -> Any:
    """The output of a repeated batch with its batch tensors `(K, B, ...)`."""
    return map_tensors(lambda tensor: stacked_rows(tensor, passes, size), output)


def stacked_rows(tensor: Tensor, passes: int, size: int) -> Tensor:
    """The rows of all passes, `(K * B, ...)`, seen as `(K, B, ...)` without a copy; any other tensor as it is."""
    return tensor.view(passes, size, *tensor.shape[1:]) if rows_of(tensor) == passes * size else tensor


def sequential(request: Request) -> Passes:
    """One forward a pass, the caller's first."""
    first = yield request.call
    return stacked(request, first, *(request.forward(request.call) for _ in range(request.options.passes - 1)))


def stacked(request: Request, *outputs: Any) -> Any:
    """Outputs of separate passes as one; what has no batch dimension (an auxiliary loss) becomes their mean."""
    size = batch_size(request.call)

    def stack(*tensors: Tensor) -> Tensor:
        return torch.stack(tensors) if rows_of(tensors[0]) == size else mean(*tensors)

    return map_tensors(stack, *outputs)


def mean(*tensors: Tensor) -> Tensor:
    """The mean of the passes; of whole numbers the first."""
    return torch.stack(tensors).mean(0) if tensors[0].is_floating_point() else tensors[0]


def rows_of(tensor: Tensor) -> int | None:
    """Its size along dimension 0; None where it has none."""
    return tensor.shape[0] if tensor.ndim else None
