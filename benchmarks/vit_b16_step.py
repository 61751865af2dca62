"""Two training steps of the true ViT-B/16 at 384 px by the paper's recipe: seconds a step and peak memory.

The recipe as it is, but for sizes that a processor can bear: few images a step, float32, no warm-up; weights and images
are random.
Peak memory is that of the whole process; the share of weights, gradients and momentum is 12 bytes a weight.
"""

import argparse
import resource
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import torch
from transformers import TrainerCallback

from benchmarks.records import write_json
from regdrop import attach
from regdrop.studies.cost.machine import Watch, describe
from regdrop.tasks.images.labelled import ImageDataset, Images, collate
from regdrop.tasks.images.transforms import Prepare
from regdrop.tasks.task import Splits, find_task
from regdrop.training.arguments import training_arguments
from regdrop.training.recipe import Recipe, load_recipe
from regdrop.training.trainer import TaskTrainer

COMMAND = "python -m benchmarks.vit_b16_step"
RECIPE = "cifar100_vit_b16_paper"


class Stopwatch(TrainerCallback):
    """Seconds of every optimiser step."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_step_begin(self, *_: Any, **_kwargs: Any) -> None:
        """Start."""
        self._start = perf_counter()

    def on_step_end(self, *_: Any, **_kwargs: Any) -> None:
        """Stop."""
        self.seconds.append(perf_counter() - self._start)


def small_recipe(batch: int, micro: int, steps: int) -> Recipe:
    """The paper's recipe with few images a step."""
    sizes = {
        "steps": steps,
        "batch_size": batch,
        "micro_batch": micro,
        "precision": "fp32",
        "workers": 0,
        "warmup_steps": 0,
    }
    return load_recipe(RECIPE, [f"--train.{key}={value}" for key, value in sizes.items()])


def random_splits(recipe: Recipe) -> Splits:
    """Random images of CIFAR's size, cropped and resized as the recipe says."""
    items = recipe.train.batch_size * recipe.train.steps
    pixels = torch.randint(256, (items, 3, 32, 32), dtype=torch.uint8)
    images = Images(pixels, torch.randint(recipe.model.classes, (items,)), recipe.model.classes)
    data = ImageDataset(images, Prepare(recipe.model.image_size, recipe.data.augmentation), seed=0)
    return Splits(data, data, data, collate)


def measure(recipe: Recipe, folder: Path) -> dict[str, Any]:
    """Train; returns the seconds of each step, the losses and the peak memory."""
    torch.manual_seed(0)
    task = find_task(recipe.task)
    arguments = training_arguments(recipe.train, folder, 0, logging_steps=1, save_strategy="no")
    model = task.build(recipe.model)
    trainer = TaskTrainer(task, random_splits(recipe), model, arguments, recipe.train)
    attach(trainer, recipe.rdrop.alpha)
    watch = Stopwatch()
    trainer.add_callback(watch)
    trainer.train()
    return {
        "weights": sum(weight.numel() for weight in model.parameters()),
        "seconds": [round(seconds, 2) for seconds in watch.seconds],
        "losses": [entry["loss"] for entry in trainer.state.log_history if "loss" in entry],
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024),
    }


def main() -> None:
    """Measure, print, and write the record where asked to."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--batch", type=int, default=4, help="images a step, before the passes (default 4)")
    parser.add_argument("--micro", type=int, default=2, help="images a forward pass, before the passes (default 2)")
    parser.add_argument("--steps", type=int, default=2, help="(default 2)")
    parser.add_argument("--out", type=Path, help="also write the record to this .json file")
    arguments = parser.parse_args()
    watch = Watch()
    watch.probe()
    with TemporaryDirectory() as folder:
        record = measure(small_recipe(arguments.batch, arguments.micro, arguments.steps), Path(folder))
    watch.probe()
    command = f"{COMMAND} --batch {arguments.batch} --micro {arguments.micro} --steps {arguments.steps}"
    notice = watch.notice() or "Nothing else ran on the machine."
    result = {"command": command, "recipe": RECIPE, "machine": describe(), "notice": notice, **record}
    print(result)
    if arguments.out:
        write_json(arguments.out, result)


if __name__ == "__main__":
    main()
