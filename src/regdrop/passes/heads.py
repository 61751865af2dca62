"""Which loss a model's head needs: where its logits and labels are, and whether the labels are shifted."""

import inspect
import re
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from torch import Tensor, nn

from regdrop.errors import UnsupportedError, nearest
from regdrop.losses.rdrop import Task

HeadName = Literal["classification", "regression", "multilabel", "causal_lm", "seq2seq_lm", "question_answering"]


@dataclass(frozen=True, slots=True)
class Head:
    """What is needed to compute R-Drop from one forward.

    Attributes:
        task: the loss; None for a transformers sequence or image classifier, whose config and labels decide.
        labels: the arguments of the forward that hold the target, one for each of `logits`.
        logits: their names in the output; their losses are averaged.
        shifts: position t predicts label t + 1 (causal language models).
        decodes: decoder inputs are made from the labels (encoder-decoders).
    """

    task: Task | None = "classification"
    labels: tuple[str, ...] = ("labels",)
    logits: tuple[str, ...] = ("logits",)
    shifts: bool = False
    decodes: bool = False


HEADS: dict[HeadName, Head] = {
    "classification": Head(),
    "regression": Head("regression"),
    "multilabel": Head("multilabel"),
    "causal_lm": Head(shifts=True),
    "seq2seq_lm": Head(decodes=True),
    "question_answering": Head(labels=("start_positions", "end_positions"), logits=("start_logits", "end_logits")),
}
ANY_CLASSIFIER = Head(None)

# Names of transformers' classes; the first pattern that fits decides.
CLASS_NAMES: tuple[tuple[str, Head | None], ...] = (
    (r"ProphetNet|WithLMHead|XLNetLMHead", None),  # their losses are not the plain cross-entropy of their logits
    (r"For(Sequence|Image|Video|Audio)Classification", ANY_CLASSIFIER),
    (r"For(TokenClassification|MaskedLM|MultipleChoice|NextSentencePrediction)", HEADS["classification"]),
    (r"ForQuestionAnswering", HEADS["question_answering"]),
    (r"ForCausalLM|LMHeadModel", HEADS["causal_lm"]),
    (r"ForConditionalGeneration|MTModel|EncoderDecoderModel", HEADS["seq2seq_lm"]),
)


def find_head(model: nn.Module, task: HeadName | None = None, labels: str = "labels") -> Head:
    """Find the loss of a model from its class, or take the one that is named.

    Args:
        model: the model that returns the loss, without wrappers.
        task: what the user says it is; None to look.
        labels: the argument of its forward that holds the target.

    Returns:
        Its `Head`. A model that is not of transformers is a classifier unless `task` says otherwise.

    Raises:
        UnsupportedError: an unknown task, a transformers head whose loss R-Drop has no form for, or a forward that
            takes no labels.

    Example:
        >>> class Net(nn.Module):
        ...     def forward(self, x, labels=None): ...
        >>> find_head(Net()).task
        'classification'
    """
    head = _named_head(model, task)
    if head.labels == ("labels",):
        head = replace(head, labels=(labels,))
    parameters = inspect.signature(model.forward).parameters
    open_ended = any(parameter.kind == parameter.VAR_KEYWORD for parameter in parameters.values())
    missing = [name for name in head.labels if name not in parameters]
    if missing and not open_ended:
        raise UnsupportedError(
            f"{type(model).__name__}.forward({', '.join(parameters)}) takes no {' and '.join(missing)}; name the "
            "argument that holds the target, attach(..., labels='targets'), or use paired_forward with r_drop_loss"
        )
    return head


def decided_task(head: Head, model: nn.Module, logits: Tensor, target: Tensor) -> Task:
    """The loss of a head; for a sequence or image classifier as transformers decides it.

    `config.problem_type` where it is set; else regression for one output, classification for integer labels, and
    multi-label for the rest.

    Example:
        >>> import torch
        >>> decided_task(ANY_CLASSIFIER, nn.Identity(), torch.zeros(2, 4, 3), torch.zeros(4, 3))
        'multilabel'
    """
    if head.task is not None:
        return head.task
    problem = getattr(getattr(model, "config", None), "problem_type", None)
    if problem is not None:
        return _PROBLEM_TYPES[problem]
    if logits.shape[-1] == 1:
        return "regression"
    return "multilabel" if target.is_floating_point() else "classification"


_PROBLEM_TYPES: dict[str, Task] = {
    "regression": "regression",
    "single_label_classification": "classification",
    "multi_label_classification": "multilabel",
}


def _named_head(model: nn.Module, task: HeadName | None) -> Head:
    if task is not None:
        if task not in HEADS:
            raise UnsupportedError(f"unknown task {task!r}: {nearest(task, get_args(HeadName))}")
        return HEADS[task]
    if not hasattr(model, "config") or not hasattr(model, "loss_function"):
        return HEADS["classification"]
    head = _transformers_head(model)
    if head is None:
        raise UnsupportedError(
            f"{type(model).__name__} has no head whose R-Drop loss is known; if its logits and labels fit one of "
            f"{', '.join(HEADS)}, say so with attach(..., task=...), else use paired_forward with r_drop_loss"
        )
    return head


def _transformers_head(model: Any) -> Head | None:
    """By the class or the nearest of its parents whose name says it, else by `loss_type`."""
    names = [*(parent.__name__ for parent in type(model).__mro__), str(getattr(model, "loss_type", ""))]
    for name in names:
        for pattern, head in CLASS_NAMES:
            if re.search(pattern, name):
                return _checked(head, model)
    return None


def _checked(head: Head | None, model: Any) -> Head | None:
    """Tell decoders with an encoder from those without, and refuse decoders that do not shift their labels."""
    if head is not None and head.decodes and not model.config.is_encoder_decoder:
        head = HEADS["causal_lm"]
    if head is not None and head.shifts:
        code = inspect.unwrap(type(model).forward).__code__
        return head if "loss_function" in code.co_names else None
    return head
