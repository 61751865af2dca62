"""A split is tried on two rows before it is used: its passes must be those of the whole batch repeated."""

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from regdrop.errors import UnsupportedError
from regdrop.passes.batch import batch_size, map_batch, repeat_batch
from regdrop.passes.full import in_eval_mode, random_state_kept
from regdrop.passes.outputs import tensors_in
from regdrop.passes.prefix.parting import parted_by_pass, parting
from regdrop.passes.prefix.split import Split
from regdrop.passes.repeated import by_pass
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
    """Leave random state, weights, buffers and autocast cache as they were before the block; warn of nothing."""
    with ExitStack() as states:
        states.enter_context(random_state_kept(model))
        states.enter_context(FormerBuffers(model))
        states.enter_context(_without_zeros(model))
        states.callback(torch.clear_autocast_cache)
        states.enter_context(warnings.catch_warnings(action="ignore"))
        yield


@contextmanager
def _without_zeros(model: nn.Module) -> Iterator[None]:
    """Random values for weights that are all 0, as of a fresh classifier or LoRA: nothing would show behind them."""
    plain = (weight for weight in model.parameters() if type(weight) is nn.Parameter and not weight.is_meta)
    zeros = [weight for weight in plain if weight.is_floating_point() and not weight.any()]
    former = [weight.data for weight in zeros]
    for weight in zeros:
        weight.data = torch.randn_like(weight.data)
    try:
        yield
    finally:
        for weight, values in zip(zeros, former, strict=True):
            weight.data = values


def refusal_of_exact(sample: Request, split: Split) -> str | None:
    """The passes are not those of the whole batch repeated under the same random state, or cannot be trained."""
    passes = sample.options.passes
    try:
        with torch.no_grad(), random_state_kept(sample.model):
            whole = sample.forward(repeat_batch(sample.call, passes, sample.options.shared))
        torch.clear_autocast_cache()  # what is cast without a graph would be used in the next forward
        parts = _trained(sample, split)
    except Exception as error:  # whatever a model raises, the whole batch can be repeated
        return one_line(error)
    pairs = zip(tensors_in(parts), tensors_in(by_pass(whole, passes, ROWS)), strict=True)
    return None if all(_agree(*pair) for pair in pairs) else "the passes are not those of the whole batch repeated"


def refusal_of_twins(sample: Request, split: Split) -> str | None:
    """The passes do not differ, or are not those of the whole batch repeated while no noise acts."""
    try:
        output = _trained(sample, split)
    except Exception as error:  # whatever a model raises, its noise is not in a head
        return one_line(error)
    if not any(_passes_differ(tensor) for tensor in tensors_in(output)):
        return "no noise acts behind it"
    with in_eval_mode(sample.model):
        return refusal_of_exact(sample, split)


def one_line(error: Exception) -> str:
    """An error as a part of a sentence."""
    first, *_ = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {first}"


def _trained(sample: Request, split: Split) -> Any:
    """The passes of a parted forward, after a backward from them to the split.

    It fails where a part of the model is computed again in backward (gradient checkpointing), as that finds no hooks.

    Raises:
        UnsupportedError: no gradient comes from one of the passes: the model goes on with the rows of another.
    """
    passes = sample.options.passes
    with torch.enable_grad():
        with parting(split, ROWS, passes, sample.options.shared, trial=True) as state:
            output = sample.forward(sample.call)
        ends = [tensor for tensor in tensors_in(output) if tensor.requires_grad]
        pulls = [torch.randn_like(end) for end in ends]
        gradients = torch.autograd.grad(ends, state.roots, pulls, allow_unused=True) if ends else ()
    if not any(_reaches_all(gradient, passes) for gradient in gradients):
        raise UnsupportedError("no gradient comes back from some of the passes")
    return parted_by_pass(output, passes, ROWS)


def _reaches_all(gradient: Tensor | None, passes: int) -> bool:
    return gradient is not None and bool(gradient.reshape(passes, -1).ne(0).any(1).all())


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


def _passes_differ(tensor: Tensor) -> bool:
    return tensor.ndim > 1 and tensor.shape[1] == ROWS and not torch.equal(tensor[0], tensor[1])
