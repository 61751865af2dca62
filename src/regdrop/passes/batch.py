"""The batch rule: what the batch size is, and which arguments of a forward are repeated for the next pass."""

from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from regdrop.errors import InputError, UnsupportedError
from regdrop.passes.outputs import map_tensors, tensors_in

MAIN_INPUTS = ("input_ids", "inputs_embeds", "pixel_values", "input_values", "input_features")
NEVER_REPEATED = frozenset({"cache_position", "logits_to_keep", "num_items_in_batch"})
FLATTENED = ("cu_seq_lens_q", "cu_seq_lens_k")


class Call(NamedTuple):
    """The arguments of one forward."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def batch_size(call: Call) -> int:
    """Size 0 of the first tensor of the main input.

    The main input is the first positional argument that holds a tensor, else the first of `MAIN_INPUTS` among the
    keywords, else the first keyword that holds one.

    Raises:
        InputError: there is no tensor with a batch dimension.
    """
    named = [call.kwargs.get(name) for name in MAIN_INPUTS]
    for tensor in tensors_in([*call.args, *named, *call.kwargs.values()]):
        if tensor.ndim:
            return tensor.shape[0]
    raise InputError(
        f"no batched tensor among the arguments of the forward ({_listed(call)}), so the batch size is unknown; "
        "pass the model's input as a tensor"
    )


def repeat_batch(call: Call, passes: int, shared: Collection[str] = ()) -> Call:
    """The same call with its batch repeated pass by pass: `[x; x]`.

    Args:
        call: the arguments of a single pass.
        passes: how often the batch is repeated.
        shared: keywords never to repeat, for a tensor that has the batch's size by chance (a table of B rows, say).

    Raises:
        InputError: there is no tensor with a batch dimension.
        UnsupportedError: the batch is one flattened row of many samples (`cu_seq_lens_q`).

    Example:
        >>> x, table = torch.zeros(4, 8), torch.zeros(1, 8)
        >>> doubled = repeat_batch(Call((x,), {"table": table}), 2)
        >>> doubled.args[0].shape, doubled.kwargs["table"].shape
        (torch.Size([8, 8]), torch.Size([1, 8]))
    """
    if any(call.kwargs.get(name) is not None for name in FLATTENED):
        raise UnsupportedError(
            f"the batch is flattened ({', '.join(FLATTENED)}), so it cannot be repeated along its first dimension; "
            "use mode='sequential', or a collator that pads"
        )
    return map_batch(lambda rows: torch.cat([rows] * passes), call, batch_size(call), shared)


def map_batch(function: Callable[[Tensor], Tensor], call: Call, size: int, shared: Collection[str] = ()) -> Call:
    """The same call with a function applied to its batch.

    The batch is every tensor whose dimension 0 has the batch size, at any depth of the arguments. Everything else is
    handed on as it is, and so are the keywords in `NEVER_REPEATED` and in `shared`.

    Args:
        function: makes one tensor `(B, ...)` into another.
        call: the arguments of a forward.
        size: the batch size B.
        shared: keywords to hand on as they are.

    Example:
        >>> map_batch(lambda rows: rows[:2], Call((torch.zeros(4, 8),), {}), size=4).args[0].shape
        torch.Size([2, 8])
    """
    kept = NEVER_REPEATED.union(shared)

    def apply(tensor: Tensor) -> Tensor:
        return function(tensor) if tensor.ndim and tensor.shape[0] == size else tensor

    kwargs = {name: value if name in kept else map_tensors(apply, value) for name, value in call.kwargs.items()}
    return Call(map_tensors(apply, call.args), kwargs)


def _listed(call: Call) -> str:
    return ", ".join(_described(call)) or "none were given"


def _described(call: Call) -> Iterator[str]:
    yield from (type(value).__name__ for value in call.args)
    yield from (f"{name}: {type(value).__name__}" for name, value in call.kwargs.items())
