"""The labels of a training forward: taken out of its arguments, and withheld from a model that can do without."""

import inspect
from typing import Any, NamedTuple

from torch import Tensor, nn

from regdrop.errors import UnsupportedError
from regdrop.passes.batch import Call
from regdrop.passes.heads import Head


class Labelled(NamedTuple):
    """A forward with its labels taken out.

    Attributes:
        call: what the model is to be called with.
        targets: the labels, one tensor for each of the head's logits; None where the forward came without.
        shifted: whether the labels stand at the position that predicts them already (`shift_labels`).
        num_items: valid items of the whole global batch where the caller counts them, else None.
    """

    call: Call
    targets: tuple[Tensor, ...] | None
    shifted: bool
    num_items: int | Tensor | None


class LabelTaker:
    """Takes the labels out of the arguments of a model's forward.

    Labels are withheld from a model whose forward has `labels=None`, so that it does not compute a loss of its own that
    is thrown away; an encoder-decoder gets the decoder inputs it would have made of them. A model that needs its labels
    (no default, or made so by `keep`) is called with them, repeated with the batch.

    Args:
        module: the module that is called, whose signature names positional arguments.
        model: the model in it that computes the loss (another one under PEFT).
        head: what its labels are called.
        keep: never withhold.
    """

    def __init__(self, module: nn.Module, model: nn.Module, head: Head, keep: bool = False) -> None:
        self.model: Any = model
        self.head = head
        self._positions = [
            name
            for name, parameter in inspect.signature(module.forward).parameters.items()
            if parameter.kind == parameter.POSITIONAL_OR_KEYWORD
        ]
        parameters = inspect.signature(model.forward).parameters
        self._withhold = not keep and all(
            name in parameters and parameters[name].default is None for name in head.labels
        )
        self._caches = "use_cache" in parameters

    def take(self, call: Call) -> Labelled:
        """Split a call into what the model gets and what the loss gets.

        Raises:
            UnsupportedError: some of the head's labels are given and others not.
        """
        kwargs = dict(zip(self._positions, call.args, strict=False)) | call.kwargs
        num_items = kwargs.pop("num_items_in_batch", None)
        shifted = self.head.shifts and kwargs.get("shift_labels") is not None
        names = ("shift_labels",) if shifted else self.head.labels
        targets = tuple(kwargs[name] for name in names if kwargs.get(name) is not None)
        if len(targets) == len(names):
            self._prepare(kwargs, targets[0])
        elif targets:
            raise UnsupportedError(f"the forward got some of its labels only; pass {' and '.join(names)} together")
        rest = Call(call.args[len(self._positions) :], kwargs)
        return Labelled(rest, targets or None, shifted, num_items)

    def _prepare(self, kwargs: dict[str, Any], labels: Tensor) -> None:
        if self._caches and kwargs.get("use_cache") is None:
            kwargs["use_cache"] = False
        if self._withhold and (not self.head.decodes or self._feeds_decoder(kwargs, labels)):
            for name in (*self.head.labels, "shift_labels"):
                kwargs.pop(name, None)

    def _feeds_decoder(self, kwargs: dict[str, Any], labels: Tensor) -> bool:
        """Make decoder inputs of the labels where there are none; whether the model can now do without labels."""
        if kwargs.get("output_router_logits") or getattr(self.model.config, "output_router_logits", False):
            return False  # encoder-decoders with experts compute their router losses only beside their own loss
        if kwargs.get("decoder_input_ids") is not None or kwargs.get("decoder_inputs_embeds") is not None:
            return True
        if not hasattr(self.model, "prepare_decoder_input_ids_from_labels"):
            return False
        kwargs["decoder_input_ids"] = self.model.prepare_decoder_input_ids_from_labels(labels=labels)
        return True
