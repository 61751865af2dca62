"""When the memory does not hold a training step: what to change, and how little of a batch to take at once."""

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from accelerate.utils.memory import clear_device_cache

from regdrop.errors import MemoryShortError, UnsupportedError
from regdrop.tasks.models.pretrained import without_bars
from regdrop.tasks.task import Splits, find_task
from regdrop.training.arguments import training_arguments
from regdrop.training.plain import PlainLoss
from regdrop.training.recipe import Recipe, load_recipe
from regdrop.training.regularizer import attach_as_set
from regdrop.training.settings import TrainSettings
from regdrop.training.shortage import is_short
from regdrop.training.trainer import TaskTrainer

_log = logging.getLogger(__name__)


@contextmanager
def memory_advice(recipe: Recipe) -> Iterator[None]:
    """Turn a lack of memory within into one line that says what to change.

    Raises:
        MemoryShortError: the memory did not suffice.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_short(error):
            raise
        raise MemoryShortError(f"the memory is short ({_first_line(error)}); {advice(recipe)}") from error


def advice(recipe: Recipe) -> str:
    """What makes a step of a recipe smaller, as settings for the command line, the exact ones first.

    Example:
        >>> "--train.micro_batch 32" in advice(load_recipe("digits_vit", ["--train.micro_batch=64"]))
        True
    """
    settings, rdrop, ways = recipe.train, recipe.rdrop, []
    smaller = halved(settings)
    if smaller is not None:
        key = _key(settings)
        ways.append(f"--train.{key} {getattr(smaller, key)} or --find-batch-size (the batch stays, by accumulation)")
    if rdrop.enabled and rdrop.mode != "replay" and rdrop.twin_fraction == 1 and rdrop.pass_dropout is None:
        ways.append("--rdrop.mode replay (one pass in memory at a time)")
    ways.append(f"--train.eval_batch {max(1, settings.eval_batch // 2)} (evaluation)")
    return f"pass {', '.join(ways)}"


def halved(settings: TrainSettings) -> TrainSettings | None:
    """The same batch with at most half as much taken at once; None where that is one item already.

    Example:
        >>> halved(TrainSettings(steps=1, batch_size=60, learning_rate=1.0, eval_every=1, micro_batch=30)).micro_batch
        15
    """
    processes = _processes()
    micro = settings.accumulation(processes)[0]
    share = settings.batch_size // processes
    smaller = next((size for size in range(micro // 2, 0, -1) if share % size == 0), None)
    changes: dict[str, Any] = {_key(settings): smaller}
    return None if smaller is None else replace(settings, **changes)


def fitting(recipe: Recipe, out: Path, seed: int, *, resume: bool) -> Recipe:
    """The recipe with as much of a batch taken at once as the memory holds, found by halving.

    Each trial makes one optimiser step on the first batch; a later batch of longer texts may need more.

    Args:
        recipe: begins with its own micro-batch.
        out: folder of the run; a run begun there keeps what was found then.
        seed: of the run.
        resume: whether that run is continued.

    Raises:
        MemoryShortError: not even one item fits.
        UnsupportedError: several processes were started.
    """
    if resume and (out / "recipe.yaml").is_file():
        begun = load_recipe(out).train
        return replace(recipe, train=replace(recipe.train, micro_batch=begun.micro_batch, max_tokens=begun.max_tokens))
    if _processes() > 1:
        raise UnsupportedError("--find-batch-size tries with one process; find it so, then pass --train.micro_batch")
    splits = find_task(recipe.task).load(recipe.data, recipe.model, seed)
    while True:
        fits = _fits(recipe, splits, seed)
        clear_device_cache(garbage_collection=True)  # of the trial, whether it fitted or not
        if fits:
            return recipe
        smaller, key = halved(recipe.train), _key(recipe.train)
        if smaller is None:
            raise MemoryShortError(f"not even one item fits in the memory; {advice(recipe)}")
        _log.warning("a step with less at once: --train.%s %d", key, getattr(smaller, key))
        recipe = replace(recipe, train=smaller)


def _fits(recipe: Recipe, splits: Splits, seed: int) -> bool:
    try:
        _make_one_step(recipe, splits, seed)
    except (MemoryError, RuntimeError) as error:
        if not is_short(error):
            raise
        return False
    return True


def _make_one_step(recipe: Recipe, splits: Splits, seed: int) -> None:
    settings, task = replace(recipe.train, steps=1), find_task(recipe.task)
    model = task.build(recipe.model)
    with ExitStack() as cleanup:
        cleanup.enter_context(without_bars())
        scratch = Path(cleanup.enter_context(TemporaryDirectory()))
        arguments = training_arguments(settings, scratch, seed, save_strategy="no", eval_strategy="no")
        plain = None if recipe.rdrop.enabled else PlainLoss(model, recipe.rdrop.label_smoothing)
        trainer = TaskTrainer(task, splits, model, arguments, settings, plain=plain)
        if recipe.rdrop.enabled:
            cleanup.callback(attach_as_set(trainer, recipe.rdrop).remove)
        trainer.train()


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]


def _key(settings: TrainSettings) -> str:
    return "max_tokens" if settings.max_tokens else "micro_batch"


def _processes() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))
