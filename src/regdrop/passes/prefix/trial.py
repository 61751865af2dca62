"""A split is tried on two rows before it is used: the passes must be what they are when the whole batch is repeated."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from regdrop.passes.batch import batch_size, map_batch, repeat_batch
from regdrop.passes.outputs import tensors_in
from regdrop.passes.prefix.parting import parting
from regdrop.passes.prefix.split import Split
from regdrop.passes.replay import FormerBuffers
from regdrop.passes.request import Request

ROWS = 2


def two_rows(request: Request) -> Request:
    """The same request with the first two rows of its batch; a single row is taken twice."""
    size = batch_size(request.call)

    def cut(rows: Tensor) -> Tensor:
        return rows[:ROWS] if size >= ROWS else torch.cat([rows] * ROWS)

    return request._replace(call=map_batch(cut, request.call, size, request.options.shared))


@contextmanager
def aside(model: nn.Module) -> Iterator[None]:
    """Leave the random state, the buffers and the autocast cache as they were before the block."""
    devices = {tensor.device for tensor in chain(model.parameters(), model.buffers())}
    with ExitStack() as states:
        states.enter_context(torch.random.fork_rng(devices=[]))
        for kind in {device.type for device in devices} - {"cpu", "meta"}:
            indices = [device.index for device in devices if device.type == kind]
            states.enter_context(torch.random.fork_rng(indices, device_type=kind))
        states.enter_context(FormerBuffers(model))
        states.callback(torch.clear_autocast_cache)
        yield


def refusal_of_exact(sample: Request, split: Split) -> str | None:
    """The passes differ from those of the whole batch repeated under the same random state; or cannot be trained."""
    try:
        torch.manual_seed(0)
        with torch.no_grad():
            expected = sample.forward(repeat_batch(sample.call, sample.options.passes, sample.options.shared))
        torch.clear_autocast_cache()  # what is cast without a graph would be used in the next forward
        torch.manual_seed(0)
        actual = _parted(sample, split)
    except Exception as error:  # whatever a model raises, the whole batch can be repeated
        return f"parting at {split.name!r} fails with {one_line(error)}"
    same = all(_agree(*pair) for pair in zip(tensors_in(actual), tensors_in(expected), strict=True))
    return None if same else f"parting at {split.name!r} does not give what repeating the whole batch gives"


def refusal_of_twins(sample: Request, split: Split) -> str | None:
    """The passes do not differ, or are not those of the whole batch repeated while no noise acts."""
    try:
        output = _parted(sample, split)
    except Exception as error:  # whatever a model raises, the noise was not in a head
        return f"parting at {split.name!r} fails with {one_line(error)}"
    if not any(_rows_differ(tensor) for tensor in tensors_in(output)):
        return f"no noise acts from {split.name!r} on"
    with in_eval_mode(sample.model):
        return refusal_of_exact(sample, split)


@contextmanager
def in_eval_mode(model: nn.Module) -> Iterator[None]:
    """Switch all noise off while the block runs."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def one_line(error: Exception) -> str:
    """An error as a part of a sentence."""
    first, *_ = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {first}"


def _parted(sample: Request, split: Split) -> Any:
    """The output of a parted forward, after a backward through it to the split.

    A part of the model that is computed again in the backward (gradient checkpointing) would find no hooks there.
    """
    with parting(split, ROWS, sample.options.passes, sample.options.shared, trial=True) as state:
        output = sample.forward(sample.call)
    ends = [tensor for tensor in tensors_in(output) if tensor.requires_grad]
    if ends and state.roots and torch.is_grad_enabled():
        torch.autograd.grad([end.sum() for end in ends], state.roots, allow_unused=True)
    return output


def _agree(actual: Tensor, expected: Tensor) -> bool:
    """Whether two results are one but for rounding, which differs with the size of the batch."""
    if actual.shape != expected.shape or actual.dtype != expected.dtype:
        return False
    if not actual.is_floating_point():
        return torch.equal(actual, expected)
    finite = expected[expected.isfinite()]
    allowed = torch.finfo(expected.dtype).eps ** 0.5
    scale = float(finite.abs().max()) if finite.numel() else 0.0
    return torch.allclose(actual, expected, rtol=allowed, atol=allowed * scale, equal_nan=True)


def _rows_differ(tensor: Tensor) -> bool:
    return tensor.ndim > 0 and len(tensor) >= 2 * ROWS and not torch.equal(tensor[:ROWS], tensor[ROWS : 2 * ROWS])
