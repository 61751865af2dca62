"""One training forward under way: what the model is called with, and what is made of what it returned."""

import dataclasses
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from regdrop.passes.batch import Call, batch_size
from regdrop.passes.labels import Labelled
from regdrop.passes.options import PassOptions
from regdrop.passes.output_layer import OutputLayer
from regdrop.passes.outputs import map_tensors, with_loss
from regdrop.passes.request import Passes, finish


class TrainingForward:
    """The state between the hook before a forward and the hook after it.

    Args:
        model: the model that is called, for its config.
        labelled: the call with its labels taken out.
        passes: K.
        begin: starts a mode on the call; None for a plain forward, whose one pass stands for all K of them, so that its
            loss, K times the cross-entropy, keeps the scale of the other steps.
    """

    def __init__(
        self, model: nn.Module, labelled: Labelled, passes: int, begin: Callable[[Call], Passes] | None
    ) -> None:
        self.call, self._as_tuple = _with_named_output(model, labelled.call)
        self.labelled = labelled
        self.layer: OutputLayer | None = None  # set where the forward leaves its output layer out
        self.plain = begin is None
        self._passes = passes
        self._size = batch_size(self.call)
        self._steps = None if begin is None else begin(self.call)
        self.first = self.call if self._steps is None else next(self._steps)

    def stacked(self, output: Any) -> Any:
        """The output with batch tensors `(K, B, ...)`, once the mode has run what is left of the passes."""
        if self._steps is not None:
            return finish(self._steps, output)

        def expand(tensor: Tensor) -> Tensor:
            return tensor.expand(self._passes, *tensor.shape) if tensor.shape[:1] == (self._size,) else tensor

        return map_tensors(expand, output)

    def twin_share(self, options: PassOptions) -> float:
        """The share of the rows that every pass took."""
        return options.twin_rows(self._size) / self._size

    def returned(self, stacked: Any, loss: Tensor) -> Any:
        """What the caller gets: the model's own kind of output, first pass only, with this loss.

        There are no logits where the output layer was left out.
        """

        def first(tensor: Tensor) -> Tensor:
            return tensor[0] if tensor.shape[:2] == (self._passes, self._size) else tensor

        output = with_loss(map_tensors(first, stacked), loss)
        if self.layer is not None:
            output = dataclasses.replace(output, logits=None)
        return output.to_tuple() if self._as_tuple else output


def _with_named_output(model: Any, call: Call) -> tuple[Call, bool]:
    """Ask a transformers model for a named output where its user asked for a tuple; the tuple is made at the end."""
    asked = call.kwargs.get("return_dict")
    if asked is None:
        asked = getattr(getattr(model, "config", None), "return_dict", True)
    if asked or not hasattr(model, "config"):
        return call, False
    return Call(call.args, call.kwargs | {"return_dict": True}), True
