"""Every recipe that is shipped loads, says what it is, and builds its model."""

import re

import pytest
import torch

from regdrop.tasks.task import find_task
from regdrop.training.recipe import load_recipe, recipe_names, recipe_text

FIELDS = ["Purpose", "Paper", "Command", "Hardware", "Minutes", "Expected"]


def header(name):
    """The comment at the top of a recipe, field by field; a field may go on over further lines."""
    lines = recipe_text(name)[1].splitlines()
    comment = [line.removeprefix("#") for line in lines[: next(i for i, line in enumerate(lines) if line[0] != "#")]]
    text = "\n".join(comment)
    return dict(re.findall(r"^ (\w+): (.*?)(?=\n \w+: |\Z)", text, re.DOTALL | re.MULTILINE))


def test_the_default_recipes_are_there():
    assert {"digits_vit", "fashion_mnist_vit", "cifar10_vit", "cifar100_vit_b16"} <= set(recipe_names())


@pytest.mark.parametrize("name", recipe_names())
def test_the_header_says_purpose_command_cost_and_score(name):
    fields = header(name)
    assert list(fields) == FIELDS
    assert re.match(rf"regdrop (train|compare) {name}\b", fields["Command"])
    assert re.search(r"\d|not run by us", fields["Minutes"])
    # a score of ours comes with its spread, another's with the words that it is not ours
    assert re.search(r"±|not run by us", fields["Expected"])


@pytest.mark.parametrize("name", recipe_names())
def test_it_builds_its_model(name):
    recipe = load_recipe(name)
    with torch.device("meta"):
        model = find_task(recipe.task).build(recipe.model)
    assert sum(weight.numel() for weight in model.parameters()) > 1000


def test_the_paper_s_model_has_its_size():
    recipe = load_recipe("cifar100_vit_b16")
    with torch.device("meta"):
        model = find_task(recipe.task).build(recipe.model)
    assert sum(weight.numel() for weight in model.parameters()) == 86_167_396  # ViT-B/16 at 384 px with 100 classes
    assert (recipe.train.steps, recipe.train.batch_size, recipe.train.optimizer) == (10_000, 512, "sgd")
