"""A recipe's training step as something to measure, in this process or in a fresh one."""

from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers import set_seed

from regdrop.studies.cost.step import Workload, step_case
from regdrop.studies.cost.timing import Case
from regdrop.studies.cost.ways import Way
from regdrop.tasks.task import find_task
from regdrop.training.optimizers import OPTIMIZERS, optimizer_options
from regdrop.training.recipe import Recipe

AUTOCAST = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def first_batch(recipe: Recipe) -> dict[str, Any]:
    """The first micro-batch of the training part, as arrays, which are easily handed to another process.

    Raises:
        DataError: the data is missing.
        RecipeError: micro-batches of this size do not make up the batch.
    """
    micro, _ = recipe.train.accumulation(1)
    splits = find_task(recipe.task).load(recipe.data, recipe.model, 0)
    how: dict[str, Any] = {"batch_size": micro}
    if recipe.train.max_tokens is not None and splits.batches is not None:
        how = {"batch_sampler": splits.batches(micro, 0)}
    batch = next(iter(DataLoader(splits.train, collate_fn=splits.collate, **how)))
    return {name: value.numpy() for name, value in batch.items()}


def workload(recipe: Recipe, batch: dict[str, Any]) -> Workload:
    """The recipe's model with random weights, its optimizer and a batch, where training would put them.

    The learning rate is 0, so that every step starts from the same weights.

    Args:
        recipe: of the model.
        batch: from `first_batch`.
    """
    set_seed(0)
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    model = find_task(recipe.task).build(recipe.model).to(device).train()
    options = optimizer_options(recipe.train) | {"lr": 0.0}
    optimizer = OPTIMIZERS[recipe.train.optimizer](model.parameters(), **options)
    tensors = {name: torch.from_numpy(value).to(device) for name, value in batch.items()}
    return Workload(model, tensors, optimizer, AUTOCAST[recipe.train.precision])


def recipe_step(way: Way, recipe: Recipe, work: Workload) -> Case:
    """A step of a recipe in some way, with R-Drop in every step; raises as `step_case` does."""
    options = recipe.rdrop.options() | {"every": 1, "mode": "concat", "twin_fraction": 1.0}
    return step_case(way, work, recipe.rdrop.alpha, **options)


def fresh_step(way: Way, recipe: Recipe, batch: dict[str, Any]) -> Case:
    """The same in a process that has nothing yet."""
    return recipe_step(way, recipe, workload(recipe, batch))
