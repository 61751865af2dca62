"""The output layer of a language model, left out of its forward so that it runs together with the loss."""

import logging
from typing import Any, Literal

import torch
from torch import Tensor, nn

from regdrop.errors import UnsupportedError
from regdrop.losses.linear import linear_r_drop_loss
from regdrop.losses.penalty import PenaltyName
from regdrop.losses.rdrop import RDropOutput
from regdrop.passes.batch import Call
from regdrop.passes.heads import Head
from regdrop.passes.separable import (
    brings_loss,
    logits_bias,
    refusal_of_call,
    refusal_of_head,
    refusal_of_layer,
    refusal_of_penalty,
    refusal_of_trial,
)

FusedHead = bool | Literal["auto"]
LOG = logging.getLogger("regdrop")


class OutputLayer:
    """A language model's last layer; while it is out, the model returns the hidden states in place of its logits.

    Args:
        model: the model that computes the loss.
        layer: a plain Linear, or a module that brings its loss: a method `r_drop_loss(hidden, target, **arguments)`
            returning what the function of that name makes of the module's own result.
        insists: raise rather than fall back to the logits.
    """

    def __init__(self, model: Any, layer: nn.Module, insists: bool) -> None:
        self._model = model
        self._layer: Any = layer
        self._insists = insists
        self._out = False
        self._logits_bias: Tensor | None = None
        self._autocast: torch.dtype | None = None

    def left_out(self, call: Call, labels: tuple[str, ...]) -> "OutputLayer | None":
        """Leave the layer out of the coming forward where that is safe, else return None.

        Args:
            call: what the model is called with.
            labels: arguments from which the model would compute a loss of its own.

        Raises:
            UnsupportedError: it is not safe, and the user insists.
        """
        self.put_back()
        reason = refusal_of_layer(self._model, self._layer) or refusal_of_call(call, labels)
        if reason is not None:
            _fall_back(reason, self._insists)
            return None
        self._out = True
        self._layer.forward = self._pass_on
        self._logits_bias = logits_bias(self._model)
        if self._logits_bias is not None:
            self._model.final_logits_bias = self._logits_bias.new_zeros(1, 1)
        return self

    def put_back(self, *_: object) -> None:
        """Make the model whole again; nothing happens where it is. Fits as a forward hook."""
        if not self._out:
            return
        self._out = False
        del self._layer.forward
        if self._logits_bias is not None:
            self._model.final_logits_bias = self._logits_bias

    def loss(self, hidden: Tensor, target: Tensor, **arguments: Any) -> RDropOutput:
        """The R-Drop loss of what the layer would have returned; see `linear_r_drop_loss`.

        The autocast state is that in which the model called the layer: trainers leave it before they return.
        """
        self.put_back()  # a layer that brings its loss is called by it
        with torch.autocast(hidden.device.type, dtype=self._autocast, enabled=self._autocast is not None):
            if brings_loss(self._layer):
                own: RDropOutput = self._layer.r_drop_loss(hidden, target, **arguments)
                return own
            return linear_r_drop_loss(hidden, self._layer.weight, target, self._bias, **arguments)

    @property
    def _bias(self) -> Tensor | None:
        """`(classes,)`: of the layer and of the logits behind it (BART's `final_logits_bias`), or None."""
        bias: Tensor | None = self._layer.bias
        if self._logits_bias is None:
            return bias
        behind = self._logits_bias.squeeze(0)
        return behind if bias is None else bias + behind

    def _pass_on(self, hidden: Tensor) -> Tensor:
        device = hidden.device.type
        self._autocast = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
        return hidden


def find_output_layer(model: Any, head: Head, fused_head: FusedHead, penalty: PenaltyName) -> OutputLayer | None:
    """The output layer to run together with the loss; None where logits are needed or wanted.

    Args:
        model: the model that computes the loss, without wrappers.
        head: what it computes.
        fused_head: "auto" where it is safe, True or an error, False never.
        penalty: what pulls the passes together.

    Raises:
        UnsupportedError: it is not safe, and `fused_head` is True.
    """
    if fused_head is False:
        return None
    reason = refusal_of_penalty(penalty) or refusal_of_head(model, head)
    layer: Any = None if reason else model.get_output_embeddings()
    reason = reason or refusal_of_layer(model, layer) or refusal_of_trial(model, layer)
    if reason is None:
        LOG.info("R-Drop: the output layer runs together with the loss; training outputs have no logits (fused_head)")
        return OutputLayer(model, layer, fused_head is True)
    _fall_back(reason, fused_head is True)
    return None


def _fall_back(reason: str, insists: bool) -> None:
    if insists:
        raise UnsupportedError(f"fused_head=True cannot be had: {reason}; use fused_head='auto' or False")
    LOG.debug("R-Drop: the loss is computed from the logits: %s", reason)
