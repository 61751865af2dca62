"""Whether the output layer of a language model can be left out of its forward; each check says why not, or None."""

from typing import Any

import torch
from torch import Tensor, nn

from regdrop.losses.penalty import PenaltyName
from regdrop.passes.batch import Call
from regdrop.passes.full import in_eval_mode
from regdrop.passes.heads import Head


def refusal_of_penalty(penalty: PenaltyName) -> str | None:
    """The loss is not that of the output layer and the KL in one."""
    return None if penalty == "kl" else f"penalty={penalty!r} takes the logits themselves"


def refusal_of_head(model: Any, head: Head) -> str | None:
    """The model has no output layer over a vocabulary."""
    if (head.shifts or head.decodes) and hasattr(model, "get_output_embeddings"):
        return None
    return f"{type(model).__name__} is not a language model of transformers"


def brings_loss(layer: Any) -> bool:
    """Whether an output layer computes the loss of its result by itself."""
    return callable(getattr(layer, "r_drop_loss", None))


def refusal_of_layer(model: Any, layer: Any) -> str | None:
    """The layer is not a plain one, or its weight is not all here; may change between forwards."""
    if type(layer) is not nn.Linear and not brings_loss(layer):
        return f"the output layer of {type(model).__name__} is a {type(layer).__name__}, not a plain Linear"
    if layer._forward_hooks or layer._forward_pre_hooks or "forward" in vars(layer):
        return "the output layer carries hooks"
    sharded = any(parent.__name__ == "FSDPModule" for part in (model, layer) for parent in type(part).__mro__)
    if sharded or not (brings_loss(layer) or _is_whole(layer)):
        return "the weight of the output layer is sharded or not there"
    return None


def _is_whole(layer: nn.Linear) -> bool:
    shape = (layer.out_features, layer.in_features)
    return type(layer.weight) is nn.Parameter and layer.weight.shape == shape and not layer.weight.is_meta


def refusal_of_call(call: Call, labels: tuple[str, ...]) -> str | None:
    """The logits are needed in this forward."""
    kept = [name for name in labels if call.kwargs.get(name) is not None]
    return f"the model computes a loss of its own from {' and '.join(kept)}" if kept else None


def refusal_of_trial(model: Any, layer: nn.Module) -> str | None:
    """The model's logits are not what its layer returns: scaled, capped, cut, cast; tried on one token."""
    name = type(model).__name__
    if getattr(model, "main_input_name", None) != "input_ids":
        return f"{name} takes more than tokens"
    weight, bias = next(layer.parameters()), logits_bias(model)
    if brings_loss(layer) and bias is not None:
        return f"{name} adds a bias behind its output layer"
    marks = torch.linspace(-100, 100, len(weight), dtype=weight.dtype, device=weight.device).view(1, 1, -1)
    expected = marks if bias is None else marks + bias
    try:
        logits = _logits_of_one_token(model, layer, marks.clone())
    except Exception as error:  # whatever a model raises, its logits remain
        return f"{name} could not be tried on one token ({type(error).__name__}: {error})"
    same = logits.shape == expected.shape and logits.dtype == expected.dtype and torch.equal(logits, expected)
    return None if same else f"{name} changes the logits after its output layer"


def _logits_of_one_token(model: Any, layer: nn.Module, marks: Tensor) -> Tensor:
    """What the model makes of marks put in the place of its layer's result, in eval mode and without a trace."""
    token = torch.ones(1, 1, dtype=torch.long, device=marks.device)
    inputs = {"input_ids": token, "attention_mask": token}
    if model.config.is_encoder_decoder:
        inputs["decoder_input_ids"] = token
    hook = layer.register_forward_hook(lambda module, args, output: marks)  # noqa: ARG005
    try:
        with torch.no_grad(), in_eval_mode(model):
            logits: Tensor = model(**inputs, return_dict=True).logits
    finally:
        hook.remove()
    return logits


def logits_bias(model: Any) -> Tensor | None:
    """A bias that BART and its kin add to the logits, `(1, classes)`."""
    bias = getattr(model, "final_logits_bias", None)
    return bias if isinstance(bias, Tensor) else None
