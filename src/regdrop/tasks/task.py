"""What a task is, and where each one lives."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from regdrop.errors import RecipeError, nearest

if TYPE_CHECKING:
    from torch import nn
    from torch.utils.data import Dataset
    from transformers import EvalPrediction

TASKS: Mapping[str, str] = {"image_classification": "regdrop.tasks.vision"}


def _keep_random(_network: "nn.Module", _model: Any) -> None:
    """Start from random weights."""


@dataclass(frozen=True, slots=True)
class Splits:
    """The three parts of a task's data, disjoint: one to learn from, one to choose by, one to report on.

    Attributes:
        train: what the model learns from; its `set_epoch(epoch)`, where it has one, is called before each epoch.
        validation: chooses the best checkpoint.
        test: read once, with the best weights.
        collate: turns what the data loader fetched into the keyword arguments of the model.
    """

    train: "Dataset[Any]"
    validation: "Dataset[Any]"
    test: "Dataset[Any]"
    collate: Callable[[Any], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Task:
    """One kind of problem: what its recipes contain and how they become data, a model and a score.

    Attributes:
        data: dataclass of the recipe's `data` section.
        model: dataclass of the recipe's `model` section.
        load: `(data, model, seed) -> Splits`.
        build: `(model) -> nn.Module`, whose forward takes the collated batch and returns `loss` and `logits`.
        condense: what to keep of each item's logits while evaluating, `(logits, labels) -> tensors`, such as its argmax
            and its loss.
        score: the metrics of a whole evaluation, from what `condense` kept; `loss` is one of them, the exact mean over
            the items, however batches and processes share them.
        best: the metric that chooses the checkpoint.
        higher_is_better: which way `best` points.
        load_pretrained: `(network, model) -> None`, copies the weights to start from into what `build` made.
    """

    data: type[Any]
    model: type[Any]
    load: Callable[[Any, Any, int], Splits]
    build: Callable[[Any], "nn.Module"]
    condense: Callable[[Any, Any], Any]
    score: Callable[["EvalPrediction"], dict[str, float]]
    best: str
    higher_is_better: bool = True
    load_pretrained: Callable[["nn.Module", Any], None] = _keep_random


def find_task(name: str) -> Task:
    """The task a recipe names.

    Raises:
        RecipeError: no task has this name.

    Example:
        >>> find_task("image_classification").best
        'accuracy'
    """
    if name not in TASKS:
        raise RecipeError(f"unknown task {name!r}: {nearest(name, TASKS)}")
    task: Task = import_module(TASKS[name]).TASK
    return task
