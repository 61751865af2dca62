"""Every recipe that is shipped loads, says what it is, and builds its model."""

import re

import pytest
import torch

from regdrop import paper_alpha
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
    assert {"digits_vit", "fashion_mnist_vit", "cifar10_vit", "cifar100_vit_b16_paper"} <= set(recipe_names())


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


PAPER = {
    "cifar100_vit_b16_paper": (86_167_396, 384, 10_000, 1e-2, 0.6),
    "cifar100_vit_b16_collaborator": (85_875_556, 224, 20_000, 8e-3, paper_alpha(0.3, "vit", micro_batch=32)),
    "cifar100_vit_l16": (303_793_252, 384, 10_000, 1e-2, 0.6),
    "imagenet_vit_b16": (86_859_496, 384, 20_000, 1e-2, 0.6),
    "cifar10_vit_b16": (86_098_186, 384, 10_000, 1e-2, 0.6),
}


@pytest.mark.parametrize("name", PAPER)
def test_the_paper_s_recipes_have_its_sizes_and_settings(name):
    recipe = load_recipe(name)
    with torch.device("meta"):
        model = find_task(recipe.task).build(recipe.model)
    weights = sum(weight.numel() for weight in model.parameters())
    train, rates = recipe.train, (recipe.model.dropout, recipe.model.attention_output_dropout)
    assert (weights, recipe.model.image_size, train.steps, train.learning_rate, recipe.rdrop.alpha) == PAPER[name]
    assert (train.optimizer, train.momentum, train.weight_decay, train.max_grad_norm) == ("sgd", 0.9, 0, 1)
    assert (train.schedule, train.warmup_steps, rates, recipe.rdrop.label_smoothing) == ("cosine", 500, (0.1, 0), 0)
    assert recipe.data.augmentation == "resized_crop"


@pytest.mark.parametrize("name", PAPER)
@pytest.mark.parametrize("processes", [1, 2, 4, 8, 16])
def test_the_whole_batch_is_512_on_any_number_of_processes(name, processes):
    micro, rounds = load_recipe(name).train.accumulation(processes)
    assert micro * rounds * processes == 512
