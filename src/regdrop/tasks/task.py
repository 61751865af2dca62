"""What a task is, and where each one lives."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from regdrop.errors import RecipeError, nearest

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from torch import Tensor, nn
    from torch.utils.data import Dataset, Sampler
    from transformers import EvalPrediction

TASKS: Mapping[str, str] = {
    "image_classification": "regdrop.tasks.vision",
    "sequence_classification": "regdrop.tasks.sequence_classification",
    "language_modeling": "regdrop.tasks.language_modeling",
    "translation": "regdrop.tasks.translation",
    "summarization": "regdrop.tasks.summarization",
}


def _keep_random(_network: "nn.Module", _model: Any) -> None:
    """Start from random weights."""


def _no_signatures(_data: Any) -> dict[str, str]:
    """Nothing to say of the metrics but their names."""
    return {}


@dataclass(frozen=True, slots=True)
class Splits:
    """The three parts of a task's data, disjoint: one to learn from, one to choose by, one to report on.

    Attributes:
        train: what the model learns from; its `set_epoch(epoch)`, where it has one, is called before each epoch.
        validation: chooses the best checkpoint.
        test: read once, with the best weights.
        collate: turns what the data loader fetched into the keyword arguments of the model.
        batches: `(tokens, seed) -> sampler`, the training items in batches of at most so many tokens, padding
            included, for recipes with `train.max_tokens`. The sampler's `set_epoch(epoch)` is called before each epoch;
            its length stays the same and it has no `batch_size`. None: items are taken in random order.
        tokenizer: what made tokens of the texts; None where there are no texts.
    """

    train: "Dataset[Any]"
    validation: "Dataset[Any]"
    test: "Dataset[Any]"
    collate: Callable[[Any], dict[str, Any]]
    batches: "Callable[[int, int], Sampler[list[int]]] | None" = None
    tokenizer: "Tokenizer | None" = None


@dataclass(frozen=True, slots=True)
class Task:
    """One kind of problem: what its recipes contain and how they become data, a model and a score.

    Attributes:
        data: dataclass of the recipe's `data` section.
        model: dataclass of the recipe's `model` section.
        models: the dataclasses to choose from by `model.architecture`, that of `model` among them; empty where `model`
            is the only one.
        load: `(data, model, seed) -> Splits`.
        build: `(model) -> nn.Module`, whose forward takes the collated batch and returns `loss` and `logits`.
        condense: what to keep of a batch while evaluating, `(logits, labels) -> tensors` with one entry a row each: the
            row's summed loss, how many of its items count, then what `score` needs of it, such as its argmax. Nothing
            in it may depend on the padding, so that batches and processes may share the rows in any way.
        score: `(evaluation, part) -> metrics` from what `condense` kept of all rows, `evaluation.predictions`, and the
            part of the data they are of. The loss is not among them: the trainer divides the summed one once.
        best: `(data) -> metric` that chooses the checkpoint; the loss is one of them.
        higher_is_better: which way `best` points.
        load_pretrained: `(network, model) -> None`, copies the weights to start from into what `build` made.
        decode: `(network, part, splits, batch size, progress) -> metrics` that need generated text. Runs after the
            evaluation of a part that is to be reported, never between training steps, in every process; all return
            the same.
        signatures: `(data) -> how a metric is computed`, as its tool puts it, for the metrics where that differs
            between tools.
    """

    data: type[Any]
    model: type[Any]
    load: Callable[[Any, Any, int], Splits]
    build: Callable[[Any], "nn.Module"]
    condense: "Callable[[Tensor, Tensor], tuple[Tensor, ...]]"
    score: "Callable[[EvalPrediction, Dataset[Any]], dict[str, float]]"
    best: Callable[[Any], str]
    higher_is_better: bool = True
    load_pretrained: Callable[["nn.Module", Any], None] = _keep_random
    decode: "Callable[[nn.Module, Dataset[Any], Splits, int, bool], dict[str, float]] | None" = None
    signatures: Callable[[Any], dict[str, str]] = _no_signatures
    models: Mapping[str, type[Any]] = field(default_factory=dict)

    def model_of(self, architecture: str | None) -> type[Any]:
        """Dataclass of the `model` section of a recipe with this `model.architecture`.

        Raises:
            RecipeError: the task chooses by architecture, and has none of this name.
        """
        if architecture is None or not self.models:
            return self.model
        if architecture not in self.models:
            raise RecipeError(f"unknown model.architecture {architecture!r}: {nearest(architecture, self.models)}")
        return self.models[architecture]


def find_task(name: str) -> Task:
    """The task a recipe names.

    Raises:
        RecipeError: no task has this name.

    Example:
        >>> find_task("image_classification").higher_is_better
        True
    """
    if name not in TASKS:
        raise RecipeError(f"unknown task {name!r}: {nearest(name, TASKS)}")
    task: Task = import_module(TASKS[name]).TASK
    return task
