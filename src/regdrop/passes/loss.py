"""The R-Drop loss of a model's stacked output: the head's logits and labels handed to `r_drop_loss`."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from regdrop.losses.penalty import mean_penalty
from regdrop.losses.rdrop import RDropOutput, Task, r_drop_loss
from regdrop.passes.heads import Head, decided_task
from regdrop.passes.labels import Labelled
from regdrop.passes.options import PassOptions
from regdrop.passes.output_layer import OutputLayer
from regdrop.passes.outputs import logits_of
from regdrop.passes.targets import count_items, loss_target

# Losses that mixtures of experts report beside the task's, and the coefficient each is weighted by.
ROUTER_LOSSES = {
    "aux_loss": "router_aux_loss_coef",
    "encoder_aux_loss": "router_aux_loss_coef",
    "decoder_aux_loss": "router_aux_loss_coef",
    "encoder_z_loss": "router_z_loss_coef",
    "decoder_z_loss": "router_z_loss_coef",
}


@dataclass(frozen=True, slots=True)
class PassLoss:
    """The loss of one training forward.

    Attributes:
        loss: what to call backward on; with `num_items` it is this batch's share of the global mean.
        task_loss: per valid item of this batch, detached.
        kl: per valid item of this batch, detached.
        items: how many items counted in this batch.
    """

    loss: Tensor
    task_loss: Tensor
    kl: Tensor
    items: Tensor


def pass_loss(
    model: nn.Module,
    head: Head,
    output: Any,
    labelled: Labelled,
    alpha: float,
    options: PassOptions,
    layer: OutputLayer | None = None,
    full: Any = None,
) -> PassLoss:
    """The R-Drop loss of a stacked output, and of its router's auxiliary losses if it reports any.

    The losses of a head with several logits (question answering: start and end) are averaged, the KL terms likewise.
    An auxiliary loss is added once a pass: `passes * coefficient * aux_loss`, in the share of the global batch that
    this batch is, so accumulation does not multiply it.

    Args:
        model: the model that returned the output, for its config.
        head: where its logits are.
        output: its output with batch tensors stacked `(K, B, ...)`.
        labelled: the targets of one pass, and the number of items of the global batch if it is known.
        alpha: weight of the divergence.
        options: of the loss.
        layer: an output layer that was left out of the forward, so that the logits are hidden states.
        full: output of the full model, where the penalty takes it.
    """
    if labelled.shifted:
        head = replace(head, shifts=False)
    logits = logits_of(output, head.logits)
    targets = labelled.targets or ()
    fulls = [None] * len(logits) if full is None else logits_of(full, head.logits)
    parts = [
        _part(model, head, z, y, labelled, alpha, options, layer, f)
        for z, y, f in zip(logits, targets, fulls, strict=True)
    ]
    means = {name: sum(getattr(part, name) for part in parts) / len(parts) for name in PassLoss.__slots__}
    result = PassLoss(**means) if len(parts) > 1 else parts[0]
    router = _router_loss(model, output)
    if router is None:
        return result
    share = 1.0 if labelled.num_items is None else result.items / labelled.num_items
    return replace(result, loss=result.loss + logits[0].shape[0] * share * router)


def _part(
    model: nn.Module,
    head: Head,
    logits: Tensor,
    labels: Tensor,
    labelled: Labelled,
    alpha: float,
    options: PassOptions,
    layer: OutputLayer | None,
    full: Tensor | None,
) -> PassLoss:
    target, ignore_index = loss_target(head, logits, labels)
    task = decided_task(head, model, logits, target)
    arguments: dict[str, Any] = {
        "alpha": alpha,
        "ignore_index": ignore_index,
        "label_smoothing": options.label_smoothing,
        "class_weight": options.class_weight,
        "num_items": labelled.num_items,
    }
    if layer is not None:
        out = layer.loss(logits, target, **arguments)
    elif options.penalty == "kl":
        out = r_drop_loss(logits, target, task=task, **arguments)
    else:
        out = _penalised(logits, target, full, task, **arguments)
    items = count_items(task, target, logits.shape[-1], ignore_index)
    per_item = 1.0 if labelled.num_items is None else labelled.num_items / items.clamp(min=1)
    return PassLoss(out.loss, out.task_loss * per_item, out.kl * per_item, items)


def _penalised(
    logits: Tensor, target: Tensor, full: Tensor | None, task: Task, alpha: float, **arguments: Any
) -> RDropOutput:
    """The loss with a penalty in the place of the divergence, which is still measured."""
    out = r_drop_loss(logits, target, task=task, alpha=0.0, **arguments)
    counting = {name: arguments[name] for name in ("ignore_index", "num_items")}
    return replace(out, loss=out.loss + alpha * mean_penalty(logits, target, full, task=task, **counting))


def _router_loss(model: Any, output: Any) -> Tensor | None:
    if not isinstance(output, Mapping):
        return None
    terms = [
        _coefficient(model, coefficient) * output[name]
        for name, coefficient in ROUTER_LOSSES.items()
        if isinstance(output.get(name), Tensor)
    ]
    return torch.stack(terms).sum() if terms else None


def _coefficient(model: Any, name: str) -> float:
    value: float = getattr(model, name, None) or getattr(model.config, name)
    return value
