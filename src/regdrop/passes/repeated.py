"""The modes that run the whole model for every pass: all passes in one batch, or one after another."""

import torch
from torch import Tensor

from regdrop.passes.batch import batch_size, repeat_batch
from regdrop.passes.outputs import map_tensors
from regdrop.passes.request import Passes, Request


def concat(request: Request) -> Passes:
    """One forward of the repeated batch `[x; x]`, seen as `(K, B, ...)` without a copy."""
    passes, size = request.options.passes, batch_size(request.call)
    output = yield repeat_batch(request.call, passes, request.options.shared)

    def split(tensor: Tensor) -> Tensor:
        return tensor.view(passes, size, *tensor.shape[1:]) if _rows(tensor) == passes * size else tensor

    return map_tensors(split, output)


def sequential(request: Request) -> Passes:
    """One forward a pass; what has no batch dimension (an auxiliary loss) becomes the mean of the passes."""
    size = batch_size(request.call)
    outputs = []
    for _ in range(request.options.passes):
        output = yield request.call
        outputs.append(output)

    def stack(*tensors: Tensor) -> Tensor:
        if _rows(tensors[0]) == size:
            return torch.stack(tensors)
        return torch.stack(tensors).mean(0) if tensors[0].is_floating_point() else tensors[0]

    return map_tensors(stack, *outputs)


def _rows(tensor: Tensor) -> int | None:
    return tensor.shape[0] if tensor.ndim else None
