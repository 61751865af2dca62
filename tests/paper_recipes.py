"""Under torchrun: every recipe of the paper at a tiny size, once through and once interrupted and resumed.

    python -m torch.distributed.run --standalone --nproc-per-node 2 tests/paper_recipes.py FOLDER

FOLDER holds the data and the pretrained weights, as `test_paper_recipes.py` makes them.
"""

import sys
from pathlib import Path

from regdrop.training.recipe import load_recipe
from regdrop.training.run import train
from regdrop.training.trainer import TaskTrainer

DATA = {
    "cifar100_vit_b16_paper": "cifar",
    "cifar100_vit_b16_collaborator": "cifar",
    "cifar100_vit_l16": "cifar",
    "imagenet_vit_b16": "imagenet",
    "cifar10_vit_b16": "cifar",
}
STEPS, INTERRUPTED = 4, 3
SIZES = {
    "data.validation": 8,
    "model.image_size": 32,
    "model.width": 16,
    "model.depth": 1,
    "model.heads": 2,
    "train.steps": STEPS,
    "train.batch_size": 16,
    "train.micro_batch": 4,
    "train.eval_batch": 8,
    "train.eval_every": 2,
    "train.warmup_steps": 1,
    "train.workers": 0,
}


def tiny(name, folder):
    """The recipe with its sizes overridden, on the data in `folder`, from the weights in `folder`."""
    settings = SIZES | {"data.path": folder / DATA[name], "model.pretrained": folder / "ViT-tiny_16.npz"}
    if name == "imagenet_vit_b16":
        settings["model.classes"] = 2
    return load_recipe(name, [f"--{key}={value}" for key, value in settings.items()])


def interrupted(self, *args, **kwargs):
    """A training step that Ctrl-C meets."""
    if self.state.global_step == INTERRUPTED:
        raise KeyboardInterrupt
    return ORIGINAL(self, *args, **kwargs)


ORIGINAL = TaskTrainer.training_step


def main(folder):
    for name in DATA:
        recipe = tiny(name, folder)
        train(recipe, folder / name / "whole", seed=1, progress=False)
        TaskTrainer.training_step = interrupted
        try:
            train(recipe, folder / name / "parts", seed=1, progress=False)
        except KeyboardInterrupt:
            TaskTrainer.training_step = ORIGINAL
        train(recipe, folder / name / "parts", seed=1, resume=True, progress=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
