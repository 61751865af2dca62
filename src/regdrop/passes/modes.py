"""The ways to run K passes: each is one generator of forward calls, driven by `paired_forward` and by `attach`.

A mode yields the arguments of a forward, is sent what the model returned, and may yield further calls; what it returns
at last is the model's output with every batch tensor stacked to `(K, B, ...)`, pass by pass. Whatever has to hold
during the forward (hooks, a saved random state) stands around the `yield`.
"""

from collections.abc import Callable, Collection, Generator
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from regdrop.errors import InputError, nearest
from regdrop.passes.batch import Call, batch_size, repeat_batch
from regdrop.passes.outputs import map_tensors

ModeName = Literal["concat", "sequential"]
Passes = Generator[Call, Any, Any]
Mode = Callable[[Call, int, Collection[str]], Passes]


def concat(call: Call, passes: int, shared: Collection[str]) -> Passes:
    """One forward of the repeated batch `[x; x]`, seen as `(K, B, ...)` without a copy."""
    size = batch_size(call)
    output = yield repeat_batch(call, passes, shared)

    def split(tensor: Tensor) -> Tensor:
        return tensor.view(passes, size, *tensor.shape[1:]) if _rows(tensor) == passes * size else tensor

    return map_tensors(split, output)


def sequential(call: Call, passes: int, shared: Collection[str]) -> Passes:  # noqa: ARG001 - the signature of a mode
    """One forward a pass; what has no batch dimension (an auxiliary loss) becomes the mean of the passes."""
    size = batch_size(call)
    outputs = []
    for _ in range(passes):
        output = yield call
        outputs.append(output)

    def stack(*tensors: Tensor) -> Tensor:
        if _rows(tensors[0]) == size:
            return torch.stack(tensors)
        return torch.stack(tensors).mean(0) if tensors[0].is_floating_point() else tensors[0]

    return map_tensors(stack, *outputs)


def _rows(tensor: Tensor) -> int | None:
    return tensor.shape[0] if tensor.ndim else None


MODES: dict[str, Mode] = {"concat": concat, "sequential": sequential}
PER_ROW = frozenset({"concat"})  # modes whose passes are rows of one batch: one draw for the batch would not differ


def check_plan(mode: str, passes: int) -> None:
    """Refuse a number of passes or a mode that cannot be run.

    Raises:
        InputError: fewer than two passes, or an unknown mode.
    """
    if passes < 2:
        raise InputError(f"passes={passes}: R-Drop compares at least two; use passes=2")
    if mode not in MODES:
        raise InputError(f"unknown mode {mode!r}: {nearest(mode, get_args(ModeName))}")


def start(mode: ModeName, call: Call, passes: int, shared: Collection[str]) -> Passes:
    """Check the arguments and begin a mode.

    Raises:
        InputError: fewer than two passes, or an unknown mode.
    """
    check_plan(mode, passes)
    return MODES[mode](call, passes, shared)


def drive(steps: Passes, output: Any, forward: Callable[[Call], Any]) -> Any:
    """Hand the first output to a mode, run the further forwards it asks for, and return its result."""
    while True:
        try:
            call = steps.send(output)
        except StopIteration as end:
            return end.value
        output = forward(call)
