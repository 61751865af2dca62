"""The hooks by which the passes part during a forward: rows of one pass become rows of all."""

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from regdrop.passes.batch import Call, map_batch
from regdrop.passes.outputs import map_tensors
from regdrop.passes.prefix.split import Split
from regdrop.passes.repeated import rows_of, stacked_rows


class Parting:
    """One forward that parts at a split.

    Attributes:
        happened: whether the split has been reached.
        roots: the floating-point rows of all passes, where the graph begins in a trial; empty otherwise.
    """

    def __init__(self, split: Split, size: int, passes: int, shared: Collection[str], trial: bool) -> None:
        self.happened = False
        self.roots: list[Tensor] = []
        self._split = split
        self._size = size
        self._passes = passes
        self._shared = shared
        self._trial = trial
        self._calls = 0

    @torch.compiler.disable  # type: ignore[untyped-decorator]  # what it counts must not become a constant of a graph
    def enter(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        """A hook before the forward of the split's module and of its followers."""
        if not self.happened:
            self._calls += module is self._split.module
            self.happened = self._calls > self._split.nth
        if not self.happened:
            return None
        return map_batch(self._repeat, Call(args, kwargs), self._size, self._shared)

    def _repeat(self, rows: Tensor) -> Tensor:
        repeated = torch.cat([rows] * self._passes)
        if self._trial and repeated.is_floating_point():
            self.roots.append(repeated.detach().requires_grad_())
            return self.roots[-1].clone()
        return repeated


@contextmanager
def parting(split: Split, size: int, passes: int, shared: Collection[str], *, trial: bool = False) -> Iterator[Parting]:
    """Have the forwards of a model part at a split while the block runs.

    Args:
        split: where.
        size: the batch size B of one pass; tensors of B rows become tensors of `passes * B` rows, pass by pass.
        passes: K.
        shared: keywords not to repeat although their dimension 0 has the batch size.
        trial: let the graph begin at the split.
    """
    state = Parting(split, size, passes, shared, trial)
    with ExitStack() as hooks:
        for module in (split.module, *split.followers):
            # Ahead of other hooks, which then see the rows that they see when the whole batch is repeated.
            handle = module.register_forward_pre_hook(state.enter, with_kwargs=True, prepend=True)
            hooks.callback(handle.remove)
        yield state


def parted_by_pass(output: Any, passes: int, size: int) -> Any:
    """The output of a parted forward with its batch tensors `(K, B, ...)`; what was computed once is all passes'."""

    def expand(tensor: Tensor) -> Tensor:
        return tensor.expand(passes, *tensor.shape) if rows_of(tensor) == size else stacked_rows(tensor, passes, size)

    return map_tensors(expand, output)
