"""Labelled batches of any form, and the items in what a model answers to them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from regdrop.errors import InputError, UnsupportedError, nearest
from regdrop.losses.inputs import check_range, class_target
from regdrop.losses.reduction import valid_items
from regdrop.losses.shapes import Float, Int
from regdrop.passes.attach import unwrapped
from regdrop.passes.batch import Call
from regdrop.passes.heads import HEADS, Head, HeadName, decided_task, find_head
from regdrop.passes.labels import LabelTaker
from regdrop.passes.outputs import map_tensors
from regdrop.passes.targets import IGNORE, loss_target


class LabelledBatch(NamedTuple):
    """One batch, ready for forwards without labels.

    Attributes:
        call: the arguments of one forward.
        labels: one tensor for each of the head's logits.
        head: where the logits are and what the labels mean.
    """

    call: Call
    labels: tuple[Tensor, ...]
    head: Head


class Items(NamedTuple):
    """The valid items of one batch: samples, tokens, or the entries of a multi-label target.

    Attributes:
        logits: `(forwards, items, classes)`.
        target: class of each item.
    """

    logits: Float[Tensor, "forwards items classes"]
    target: Int[Tensor, " items"]


class BatchReader:
    """Knows where a model's batches keep inputs and labels, and which of its answers are items.

    Args:
        model: the model to be diagnosed.
        task: what its head computes; None to look.
        labels: the key of the labels in a batch that is a mapping.
        ignore_index: the label that marks padding, besides -100.

    Raises:
        InputError: an unknown task.
    """

    def __init__(self, model: nn.Module, task: HeadName | None, labels: str, ignore_index: int) -> None:
        if task is not None and task not in HEADS:
            raise InputError(f"unknown task {task!r}: {nearest(task, HEADS)}")
        module: Any = unwrapped(model)
        self._module = module
        self._inner = module.get_base_model() if hasattr(module, "get_base_model") else module
        self._task, self._labels, self._ignore_index = task, labels, ignore_index
        self._device = next((parameter.device for parameter in module.parameters()), None)

    def read(self, batch: Any) -> LabelledBatch:
        """Split a batch into the call of one forward and its labels, on the device of the model.

        Args:
            batch: a mapping of the forward's keyword arguments and the labels, or `(*inputs, labels)`.

        Raises:
            InputError: it is neither, or holds no labels.
            UnsupportedError: a transformers head whose logits and labels are not known to fit.
        """
        if self._device is not None:
            batch = map_tensors(lambda tensor: tensor.to(self._device), batch)
        if isinstance(batch, Mapping):
            return self._read_mapping(dict(batch))
        if isinstance(batch, list | tuple) and len(batch) > 1 and isinstance(batch[-1], Tensor):
            return self._read_sequence(*batch)
        raise InputError(
            f"a batch of type {type(batch).__name__} holds no labels; give (inputs, labels), or a mapping with "
            f"{self._labels!r} as transformers' collators make it"
        )

    def items(self, batch: LabelledBatch, place: int, logits: Float[Tensor, " forwards *dims"]) -> Items:
        """The valid items of one of a head's logits, flattened.

        Args:
            batch: what the logits answer.
            place: which of the head's logits they are.
            logits: of several forwards, stacked.

        Raises:
            InputError: labels that do not fit the logits, or that are no classes.
            UnsupportedError: a regression head.
        """
        labels = batch.labels[place]
        labels = labels.masked_fill(labels == self._ignore_index, IGNORE)
        target, ignore_index = loss_target(batch.head, logits, labels)
        task = decided_task(batch.head, self._inner, logits, target)
        if task == "regression":
            raise UnsupportedError(
                f"{type(self._inner).__name__} predicts numbers, which have no distribution over classes to compare; "
                "diagnose a classifier, or say task='multilabel' if its outputs are labels"
            )
        if task == "multilabel":
            logits, target = _two_classes(logits, target)
        return _valid(logits, target, ignore_index)

    def _read_mapping(self, batch: dict[str, Any]) -> LabelledBatch:
        head = find_head(self._inner, self._task, self._labels)
        labelled = LabelTaker(self._module, self._inner, head).take(Call((), batch))
        if labelled.targets is None:
            raise InputError(
                f"the batch has no {' and '.join(map(repr, head.labels))} among its keys "
                f"({', '.join(map(repr, batch))}); add the labels, or name their key with labels="
            )
        return LabelledBatch(labelled.call, labelled.targets, replace(head, shifts=False) if labelled.shifted else head)

    def _read_sequence(self, *batch: Any) -> LabelledBatch:
        *inputs, target = batch
        call = Call((), dict(inputs[0])) if isinstance(inputs[0], Mapping) else Call(tuple(inputs), {})
        return LabelledBatch(call, (target,), HEADS[self._task or "classification"])


def _two_classes(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """A label that is on or off as a choice of two: sigmoid(z) is the softmax of (0, z)."""
    classes = target.long()
    if bool((classes != target).any()):
        raise InputError("a multi-label target holds values other than 0 and 1; diagnose needs hard labels")
    return torch.stack([torch.zeros_like(logits), logits], -1), classes


def _valid(logits: Tensor, target: Tensor, ignore_index: int) -> Items:
    target = class_target(logits, target)
    if target.ndim > 1:
        raise InputError(f"labels of dtype {target.dtype} are probabilities; diagnose needs one class an item")
    valid = valid_items(target.shape, None, target, ignore_index)
    check_range(target, valid, logits.shape[-1])
    rows = logits.reshape(len(logits), -1, logits.shape[-1])
    return Items(rows, target) if valid is None else Items(rows[:, valid], target[valid])
