"""The score of given weights on one part of a recipe's data."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from torch import nn

from regdrop.checkpoints.refusals import StateDict, check_keys, check_shape, named
from regdrop.checkpoints.safetensors_file import read_safetensors
from regdrop.tasks.task import Splits, find_task
from regdrop.training.arguments import training_arguments
from regdrop.training.folder import find_weights
from regdrop.training.progress import EvaluationProgress, metrics_of
from regdrop.training.recipe import Recipe
from regdrop.training.tokens import check_tokens
from regdrop.training.trainer import TaskTrainer

Split = Literal["train", "validation", "test"]


def evaluate(recipe: Recipe, checkpoint: Path, *, split: Split = "test", progress: bool = True) -> dict[str, float]:
    """Metrics of saved weights.

    Args:
        recipe: which model and data.
        checkpoint: folder of a finished run, a checkpoint or `best/` folder, or a .safetensors file.
        split: which part of the data; "train" is evaluated without its order, but with its augmentation.
        progress: show a bar on standard error.

    Returns:
        The task's metrics and `loss` (mean over the items, no dropout, no R-Drop). On the test part and the best
        weights they equal those that training reported.

    Raises:
        CheckpointError: no weights there, or not this model's.
        DataError: the data is missing, or its tokens are not those of the run.
    """
    weights = find_weights(checkpoint)
    task = find_task(recipe.task)
    model = task.build(recipe.model)
    load_weights(model, weights)
    splits = task.load(recipe.data, recipe.model, 0)
    check_tokens(splits, weights)
    return score(recipe, model, splits, split, progress=progress)


def score(recipe: Recipe, model: nn.Module, splits: Splits, split: Split, *, progress: bool) -> dict[str, float]:
    """Metrics of a model on one part of its data, those of generated text included; see `evaluate`."""
    task, part = find_task(recipe.task), getattr(splits, split)
    with TemporaryDirectory() as scratch:
        arguments = training_arguments(recipe.train, Path(scratch), seed=0)
        trainer = TaskTrainer(task, splits, model, arguments, recipe.train)
        if progress:
            trainer.add_callback(EvaluationProgress(trainer.running_loss))
        metrics = metrics_of(trainer.evaluate(part, metric_key_prefix=split), f"{split}_")
    if task.decode is None:
        return metrics
    return {**task.decode(model, part, splits, recipe.train.eval_batch, progress), **metrics}


def load_weights(model: nn.Module, path: Path) -> None:
    """Copy weights from a safetensors file into a model, all or none.

    Raises:
        CheckpointError: the file is damaged, or its names or shapes are not the model's.
    """
    with named(path):
        own = model.state_dict()
        state = {**_left_out(model, own), **read_safetensors(path)}
        state |= _tied(state, own)
        check_keys(state, own)
        for key, weight in own.items():
            check_shape(key, state[key].shape, weight.shape)
    model.load_state_dict(state)


def _left_out(model: nn.Module, own: StateDict) -> StateDict:
    """The constants that transformers never saves, such as sinusoidal positions."""
    return {key: own[key] for key in getattr(model, "_keys_to_ignore_on_save", None) or () if key in own}


def _tied(state: StateDict, own: StateDict) -> StateDict:
    """The further names of weights that have several in the model and one in its file."""
    found = {own[key].data_ptr(): weight for key, weight in state.items() if key in own}
    return {key: found[weight.data_ptr()] for key, weight in own.items() if weight.data_ptr() in found}
