"""One training run, from a recipe and a seed to a folder with its records, weights and summary."""

import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from torch import nn
from torch.utils.tensorboard import SummaryWriter
from transformers import TrainerCallback, TrainerState, set_seed
from transformers.integrations import TensorBoardCallback

from regdrop.checkpoints.atomic import atomic_path
from regdrop.errors import RecipeError
from regdrop.passes.attach import RDropHandle, attach
from regdrop.tasks.task import Splits, Task, find_task
from regdrop.training.evaluation import load_weights, score
from regdrop.training.folder import RunFolder, find_weights, write
from regdrop.training.progress import TrainingProgress, metrics_of
from regdrop.training.recipe import Recipe
from regdrop.training.records import RecordWriter
from regdrop.training.summary import RunSummary, versions
from regdrop.training.trainer import TaskTrainer, training_arguments

MAX_SEED = 1 << 32  # of numpy
KEPT_CHECKPOINTS = 3  # the best, the one before the last, the last


def train(recipe: Recipe, out: Path, *, seed: int, resume: bool = False, progress: bool = True) -> RunSummary:
    """Train by a recipe, choose the weights that do best on the validation part, and read the test part once.

    The same recipe, seed and machine give the same result, interrupted or not.

    Args:
        recipe: what to do.
        out: folder of the run; see `RunFolder` for what it will hold.
        seed: of the weights, the order of the data, the augmentation and the dropout.
        resume: continue from the last complete checkpoint in `out`; a finished run is returned as it is.
        progress: show bars on standard error.

    Raises:
        RecipeError: the seed is out of range, `out` is not empty and `resume` is false, or it holds another run.
        DataError: the data is missing.
        NoNoiseError: R-Drop is on, but the model has no active dropout.
        NonFiniteError: the loss became NaN or infinite.
    """
    if not 0 <= seed < MAX_SEED:
        raise RecipeError(f"seed {seed} is out of range; choose 0 to {MAX_SEED - 1}")
    folder = RunFolder(out)
    finished = folder.finished(recipe, seed, resume=resume)
    if finished:
        return finished
    task = find_task(recipe.task)
    splits = task.load(recipe.data, recipe.model, seed)
    set_seed(seed)
    model = task.build(recipe.model)
    seconds = _fit(recipe, task, splits, model, folder, seed, progress)
    summary = _conclude(recipe, splits, model, folder, seed, seconds)
    write(folder.summary, summary.to_json())
    return summary


def _fit(
    recipe: Recipe, task: Task, splits: Splits, model: nn.Module, folder: RunFolder, seed: int, progress: bool
) -> float:
    """Train to the last step; returns the seconds that took over all sessions."""
    step = folder.last_checkpoint()
    if step == recipe.train.steps:
        return RecordWriter(folder.records, step).seconds
    smoothing = 0.0 if recipe.rdrop.enabled else recipe.rdrop.label_smoothing  # R-Drop smooths by itself
    arguments = _arguments(recipe, task, folder, seed)
    trainer = TaskTrainer(task, splits, model, arguments, recipe.train, label_smoothing=smoothing)
    handle = _attach(recipe, trainer)
    folder.begin(recipe, seed)  # nothing was refused
    records = RecordWriter(folder.records, step)
    board = SummaryWriter(str(folder.tensorboard), purge_step=step + 1)
    with ExitStack() as cleanup:
        cleanup.callback(board.close)
        if handle:
            cleanup.callback(handle.remove)
        callbacks = [records, TensorBoardCallback(board), _Bookkeeping(folder, splits)]
        if progress:
            callbacks.append(cleanup.enter_context(TrainingProgress()))
        for callback in callbacks:
            trainer.add_callback(callback)
        trainer.train(resume_from_checkpoint=str(folder.checkpoint(step)) if step else None)
    return records.seconds


def _attach(recipe: Recipe, trainer: TaskTrainer) -> RDropHandle | None:
    rdrop = recipe.rdrop
    if not rdrop.enabled:
        return None
    return attach(trainer, rdrop.alpha, passes=rdrop.passes, every=rdrop.every, label_smoothing=rdrop.label_smoothing)


def _arguments(recipe: Recipe, task: Task, folder: RunFolder, seed: int) -> Any:
    return training_arguments(
        recipe.train,
        folder.path,
        seed,
        logging_steps=1,
        logging_nan_inf_filter=False,
        eval_strategy="steps",
        eval_steps=recipe.train.eval_every,
        save_steps=recipe.train.eval_every,
        save_total_limit=KEPT_CHECKPOINTS,
        metric_for_best_model=task.best,
        greater_is_better=task.higher_is_better,
    )


def _conclude(
    recipe: Recipe, splits: Splits, model: nn.Module, folder: RunFolder, seed: int, seconds: float
) -> RunSummary:
    """Keep the best weights and score them on the test part."""
    state = TrainerState.load_from_json(str(folder.checkpoint(recipe.train.steps) / "trainer_state.json"))
    best = state.best_global_step
    validation = next(logs for logs in state.log_history if logs["step"] == best and "eval_loss" in logs)
    weights = find_weights(folder.checkpoint(best))
    folder.best.parent.mkdir(exist_ok=True)
    with atomic_path(folder.best) as beside:
        shutil.copyfile(weights, beside)
    load_weights(model, folder.best)
    return RunSummary(
        recipe=recipe.name,
        seed=seed,
        rdrop={name: getattr(recipe.rdrop, name) for name in recipe.rdrop.__slots__},
        steps=recipe.train.steps,
        best_step=best,
        validation=metrics_of(validation, "eval_"),
        test=score(recipe, model, splits, "test", progress=False),
        seconds=round(seconds, 2),
        versions=versions(),
    )


class _Bookkeeping(TrainerCallback):  # type: ignore[misc]  # transformers is not typed
    """Tell the training data which epoch begins, and seal what was saved."""

    def __init__(self, folder: RunFolder, splits: Splits) -> None:
        self._folder = folder
        self._data = splits.train

    def on_epoch_begin(self, _args: Any, state: Any, _control: Any, **_kwargs: Any) -> None:
        if hasattr(self._data, "set_epoch"):
            self._data.set_epoch(int(state.epoch))

    def on_save(self, _args: Any, state: Any, _control: Any, **_kwargs: Any) -> None:
        if state.is_world_process_zero:
            self._folder.seal(state.global_step)
