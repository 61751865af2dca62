"""A recipe that trains in a second: real digits, a ViT of one narrow block, a few steps."""

from regdrop.training.recipe import load_recipe

SETTINGS = {
    "model.width": 16,
    "model.depth": 1,
    "model.heads": 2,
    "model.patch_size": 4,
    "train.steps": 6,
    "train.eval_every": 3,
    "train.warmup_steps": 0,
}


def tiny_recipe(**changes):
    """The digits recipe made tiny; changes are `section__key=value`."""
    settings = SETTINGS | {key.replace("__", "."): value for key, value in changes.items()}
    return load_recipe("digits_vit", [word for key, value in settings.items() for word in (f"--{key}", str(value))])
