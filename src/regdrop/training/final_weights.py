"""The weights a run ends with: the best checkpoint's, or the mean of the last ones."""

import shutil
from pathlib import Path

from torch import nn
from transformers import TrainerState

from regdrop.checkpoints.atomic import atomic_path
from regdrop.checkpoints.averaging import average
from regdrop.checkpoints.safetensors_file import write_safetensors
from regdrop.tasks.task import Splits
from regdrop.training.evaluation import load_weights, score
from regdrop.training.folder import RunFolder, find_weights
from regdrop.training.progress import metrics_of
from regdrop.training.recipe import Recipe
from regdrop.training.settings import TrainSettings

FEWEST_KEPT = 3  # the best, the one before the last, the last


def kept_checkpoints(settings: TrainSettings, step: int = 0) -> int:
    """How many checkpoints stay on the disk while training: the best, and the last ones as far as they are needed.

    Args:
        settings: of the recipe.
        step: to continue after; the checkpoint that a signal made there is not among the needed ones.
    """
    return max(FEWEST_KEPT, 1 + (settings.average_last or 1)) + bool(step % settings.eval_every)


def keep_final(
    recipe: Recipe, folder: RunFolder, model: nn.Module, splits: Splits, *, progress: bool
) -> tuple[int, dict[str, float]]:
    """Keep a trained run's final weights as `best/`, and put them into the model.

    Args:
        recipe: `train.average_last` says which weights they are.
        folder: holds the checkpoints.
        model: of the recipe.
        splits: the data, to score a mean of weights.
        progress: show a bar on standard error.

    Returns:
        The step they are of, the last one for a mean, and their metrics on the validation part.
    """
    folder.best.parent.mkdir(exist_ok=True)
    last = recipe.train.average_last
    step, validation = (recipe.train.steps, None) if last else _best(folder, recipe.train.steps)
    with atomic_path(folder.best) as beside:
        if last:
            write_safetensors(average(_last(folder, recipe.train, last)), beside)
        else:
            shutil.copyfile(find_weights(folder.sound(step)), beside)
    load_weights(model, folder.best)
    return step, validation or score(recipe, model, splits, "validation", progress=progress)


def _best(folder: RunFolder, steps: int) -> tuple[int, dict[str, float]]:
    """The step that did best on the validation part, and its metrics there."""
    state = TrainerState.load_from_json(str(folder.checkpoint(steps) / "trainer_state.json"))
    best = state.best_global_step
    logs = next(logs for logs in state.log_history if logs["step"] == best and "eval_loss" in logs)
    return best, metrics_of(logs, "eval_")


def _last(folder: RunFolder, settings: TrainSettings, count: int) -> list[Path]:
    """The weights of the last `count` checkpoints, or of all where there are fewer."""
    steps = sorted({*range(settings.eval_every, settings.steps + 1, settings.eval_every), settings.steps})
    return [find_weights(folder.sound(step)) for step in steps[-count:]]
