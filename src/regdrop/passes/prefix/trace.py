"""The order in which one forward calls the modules of a model, and what had been computed by then."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True, slots=True)
class ModuleCall:
    """One call of a module.

    Attributes:
        module: what was called.
        parents: positions in the trace of the calls it was made in, outermost first.
        nth: how often the module had been called before.
        flops: floating-point operations before it: the products of matrices and convolutions, as torch counts them.
    """

    module: nn.Module
    parents: tuple[int, ...]
    nth: int
    flops: int


@dataclass(frozen=True, slots=True)
class Trace:
    """All calls of one forward in order, and its floating-point operations."""

    calls: list[ModuleCall]
    flops: int

    def positions(self, module: nn.Module) -> list[int]:
        """Where a module was called."""
        return [at for at, call in enumerate(self.calls) if call.module is module]

    def inside(self, position: int) -> list[int]:
        """The calls that were made directly in another."""
        return [at for at, call in enumerate(self.calls) if call.parents[-1:] == (position,)]


def trace(model: nn.Module, forward: Callable[[], Any]) -> Trace:
    """Watch one forward.

    Args:
        model: the model whose modules are watched; it is the first of the calls.
        forward: runs it once.

    Example:
        >>> import torch
        >>> model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
        >>> seen = trace(model, lambda: model(torch.ones(5, 2)))
        >>> [(type(call.module).__name__, call.parents, call.flops) for call in seen.calls], seen.flops
        ([('Sequential', (), 0), ('Linear', (0,), 0), ('Linear', (0,), 60)], 90)
    """
    calls: list[ModuleCall] = []
    under_way: list[int] = []
    own = set(model.modules())
    counter = FlopCounterMode(display=False)

    def enter(module: nn.Module, args: object) -> None:  # noqa: ARG001 - a hook's signature
        if module in own:
            nth = sum(call.module is module for call in calls)
            calls.append(ModuleCall(module, tuple(under_way), nth, counter.get_total_flops()))
            under_way.append(len(calls) - 1)

    def leave(module: nn.Module, args: object, output: object) -> None:  # noqa: ARG001 - a hook's signature
        if module in own:
            under_way.pop()

    # Hooks on all modules there are, since one on an output layer would keep it from being left out.
    with ExitStack() as hooks, counter:
        hooks.callback(register_module_forward_pre_hook(enter).remove)
        hooks.callback(register_module_forward_hook(leave).remove)
        forward()
    return Trace(calls, counter.get_total_flops())
