"""One training run, from a recipe and a seed to a folder with its records, weights and summary."""

import logging
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from accelerate import PartialState
from torch import nn
from torch.utils.tensorboard import SummaryWriter
from transformers import set_seed
from transformers.integrations import TensorBoardCallback

from regdrop.errors import RecipeError, StoppedError
from regdrop.tasks.models.pretrained import without_bars
from regdrop.tasks.task import Splits, Task, find_task
from regdrop.training.arguments import training_arguments
from regdrop.training.bookkeeping import Bookkeeping
from regdrop.training.consistency import ConsistencyMonitor
from regdrop.training.evaluation import score
from regdrop.training.final_weights import keep_final, kept_checkpoints
from regdrop.training.folder import RunFolder, write
from regdrop.training.memory import memory_advice
from regdrop.training.peak import PeakMemory
from regdrop.training.plain import PlainLoss
from regdrop.training.progress import TrainingProgress
from regdrop.training.recipe import Recipe
from regdrop.training.records import RecordWriter
from regdrop.training.regularizer import attach_as_set
from regdrop.training.stopping import StopRequest
from regdrop.training.summary import RunSummary, versions
from regdrop.training.tokens import check_tokens, keep_tokens
from regdrop.training.trainer import TaskTrainer

_log = logging.getLogger(__name__)
MAX_SEED = 1 << 32  # of numpy


def train(recipe: Recipe, out: Path, *, seed: int, resume: bool = False, progress: bool = True) -> RunSummary:
    """Train by a recipe, choose the weights that do best on the validation part, and read the test part once.

    The same recipe, seed and machine give the same result, interrupted or not. SIGTERM and Ctrl-C end the current step,
    save a checkpoint and raise; a second signal acts at once.

    Args:
        recipe: what to do.
        out: folder of the run; see `RunFolder` for what it will hold.
        seed: of the weights, the order of the data, the augmentation and the dropout.
        resume: continue from the last complete checkpoint in `out`; a finished run is returned as it is.
        progress: show bars on standard error.

    Raises:
        RecipeError: the seed is out of range, `out` is not empty and `resume` is false, or it holds another run.
        DataError: the data is missing.
        CheckpointError: pretrained weights are missing, damaged or of another model.
        NoNoiseError: R-Drop is on, but the model has no active dropout.
        NonFiniteError: the loss became NaN or infinite.
        BusyError: another process is at work in `out`.
        MemoryShortError: the memory does not hold a step; says what to change.
        StoppedError: a signal ended the run; `resume` continues it.
    """
    if not 0 <= seed < MAX_SEED:
        raise RecipeError(f"seed {seed} is out of range; choose 0 to {MAX_SEED - 1}")
    folder = RunFolder(out)
    finished = folder.finished(recipe, seed, resume=resume)
    if finished:
        return finished
    try:
        with memory_advice(recipe):
            return _train(recipe, folder, seed, progress)
    finally:
        folder.lock.release()


def _train(recipe: Recipe, folder: RunFolder, seed: int, progress: bool) -> RunSummary:
    task, step = find_task(recipe.task), folder.look()
    set_seed(seed)
    model = task.build(recipe.model)
    if not step:
        task.load_pretrained(model, recipe.model)
    run = _Run(recipe, seed, folder, task, task.load(recipe.data, recipe.model, seed), model)
    effort = _fit(run, step, progress)
    summary = _conclude(run, effort, progress)
    if PartialState().is_main_process:  # each has a clock of its own
        write(folder.summary, summary.to_json())
    PartialState().wait_for_everyone()  # no one reads the folder before it is complete
    return summary


@dataclass(frozen=True, slots=True)
class _Run:
    """One run under way: what it was asked for, and what was made of that."""

    recipe: Recipe
    seed: int
    folder: RunFolder
    task: Task
    splits: Splits
    model: nn.Module


@dataclass(frozen=True, slots=True)
class _Effort:
    """What the training of a run took: seconds over all its sessions, peak memory in the last."""

    seconds: float
    peak_bytes: int | None


def _fit(run: _Run, step: int, progress: bool) -> _Effort:
    """Train from a step to the last."""
    if step == run.recipe.train.steps:
        return _Effort(RecordWriter(run.folder.records, step).seconds, None)
    trainer = _trainer(run, step)
    with ExitStack() as cleanup:
        cleanup.enter_context(without_bars())
        if run.recipe.rdrop.enabled:
            cleanup.callback(attach_as_set(trainer, run.recipe.rdrop).remove)
        PartialState().wait_for_everyone()  # each has looked into the folder before one writes there
        check_tokens(run.splits, run.folder.path)
        run.folder.begin(run.recipe, run.seed, step)  # nothing was refused
        if PartialState().is_main_process:
            keep_tokens(run.splits, run.folder.path)
        PartialState().wait_for_everyone()
        _warn_of_processes(run.folder, step)
        records = RecordWriter(run.folder.records, step)
        board = cleanup.enter_context(SummaryWriter(str(run.folder.tensorboard), purge_step=step + 1))
        stop = cleanup.enter_context(StopRequest(trainer))
        books = Bookkeeping(run.folder, run.recipe.train.eval_every, trainer)
        callbacks = [records, TensorBoardCallback(board), books, stop]
        if progress:
            callbacks.append(cleanup.enter_context(TrainingProgress()))
        for callback in callbacks:
            trainer.add_callback(callback)
        peak = PeakMemory()
        trainer.train(resume_from_checkpoint=str(run.folder.checkpoint(step)) if step else None)
    if stop.agreed:
        raise StoppedError(
            f"stopped and saved after step {trainer.state.global_step}; continue with --resume", stop.agreed
        )
    return _Effort(records.seconds, peak.bytes)


def _warn_of_processes(folder: RunFolder, step: int) -> None:
    before, now = folder.processes(step), PartialState().num_processes
    if step and before != now and PartialState().is_main_process:
        _log.warning(
            "step %d was made by %d processes and is continued by %d: with another number of processes "
            "the batches stay the same, the noise does not",
            step,
            before,
            now,
        )


def _trainer(run: _Run, step: int) -> TaskTrainer:
    rdrop, settings = run.recipe.rdrop, run.recipe.train
    arguments = training_arguments(
        settings,
        run.folder.path,
        run.seed,
        logging_steps=1,
        logging_nan_inf_filter=False,
        eval_strategy="steps",
        eval_steps=settings.eval_every,
        save_steps=settings.eval_every,
        save_total_limit=kept_checkpoints(settings, step),
        metric_for_best_model=run.task.best(run.recipe.data),
        greater_is_better=run.task.higher_is_better,
    )
    plain = None if rdrop.enabled else PlainLoss(run.model, rdrop.label_smoothing)
    items, batch = settings.consistency_items, settings.eval_batch
    monitor = ConsistencyMonitor(run.model, run.splits, items, batch) if items else None
    return TaskTrainer(run.task, run.splits, run.model, arguments, settings, plain=plain, monitor=monitor)


def _conclude(run: _Run, effort: _Effort, progress: bool) -> RunSummary:
    """Keep the final weights and score them on the test part."""
    recipe = run.recipe
    step, validation = keep_final(recipe, run.folder, run.model, run.splits, progress=progress)
    return RunSummary(
        recipe=recipe.name,
        seed=run.seed,
        rdrop=asdict(recipe.rdrop),
        steps=recipe.train.steps,
        best_step=step,
        validation=validation,
        test=score(recipe, run.model, run.splits, "test", progress=progress),
        signatures=run.task.signatures(recipe.data),
        seconds=round(effort.seconds, 2),
        versions=versions(),
        peak_bytes=effort.peak_bytes,
    )
