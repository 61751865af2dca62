"""Twins: a random part of the rows is run a second time, for an unbiased estimate of the R-Drop loss.

A row without a twin stands for both of its passes, so that the loss of N items is

    1/N [ sum without: 2 CE(z_1, y)  +  sum with: CE(z_1, y) + CE(z_2, y) + alpha / f * KL(z_1, z_2) ]

where f is the share of the rows that have one. Over all choices of the rows, its mean is the loss of two full passes.
"""

import torch
from torch import Tensor

from regdrop.passes.batch import batch_size, map_batch
from regdrop.passes.outputs import map_tensors
from regdrop.passes.repeated import concat, mean, rows_of, sequential
from regdrop.passes.request import Passes, Request


def concat_twins(request: Request) -> Passes:
    """One forward of the batch followed by its twins."""
    size = batch_size(request.call)
    index = drawn_rows(size, request.options.twin_rows(size))
    if len(index) == size:
        return (yield from concat(request))

    def lengthen(tensor: Tensor) -> Tensor:
        return torch.cat([tensor, tensor[index.to(tensor.device)]])

    output = yield map_batch(lengthen, request.call, size, request.options.shared)

    def split(tensor: Tensor) -> Tensor:
        return _filled(tensor[:size], tensor[size:], index) if rows_of(tensor) == size + len(index) else tensor

    return map_tensors(split, output)


def sequential_twins(request: Request) -> Passes:
    """One forward of the batch and one of its twins."""
    size = batch_size(request.call)
    index = drawn_rows(size, request.options.twin_rows(size))
    if len(index) == size:
        return (yield from sequential(request))
    first = yield request.call
    twins = map_batch(lambda rows: rows[index.to(rows.device)], request.call, size, request.options.shared)
    second = request.forward(twins)

    def stack(one: Tensor, other: Tensor) -> Tensor:
        return _filled(one, other, index) if rows_of(one) == size else mean(one, other)

    return map_tensors(stack, first, second)


def drawn_rows(size: int, count: int) -> Tensor:
    """Which rows have a twin, by torch's random numbers."""
    return torch.randperm(size)[:count]


def _filled(first: Tensor, twins: Tensor, index: Tensor) -> Tensor:
    """Both passes of every row, `(2, B, ...)`; where there is no twin, the first pass once more."""
    return torch.stack([first, first.index_copy(0, index.to(first.device), twins)])
