import math

import pytest
import torch

from regdrop.tasks.task import Splits, find_task
from regdrop.training.arguments import training_arguments
from regdrop.training.recipe import load_recipe
from regdrop.training.trainer import TaskTrainer

TINY = ["--model.width=16", "--model.depth=1", "--model.heads=2", "--model.image_size=16", "--train.precision=fp32"]


def make(recipe, tmp_path):
    task, arguments = find_task(recipe.task), training_arguments(recipe.train, tmp_path, seed=0)
    made = TaskTrainer(task, Splits([], [], [], torch.stack), task.build(recipe.model), arguments, recipe.train)
    made.create_optimizer_and_scheduler(recipe.train.steps)
    return made


@pytest.fixture
def trainer(tmp_path):
    """Of the paper's recipe for images, on a tiny model."""
    return make(load_recipe("cifar100_vit_b16_paper", TINY), tmp_path)


def rates(trainer):
    """The learning rate of every update."""
    for _ in range(trainer.args.max_steps):
        yield trainer.optimizer.param_groups[0]["lr"]
        trainer.optimizer.step()
        trainer.lr_scheduler.step()


def test_the_schedule_of_the_paper_s_recipe(trainer):
    """Linear over 500 updates, then half a cosine; update s has the factor of s - 1 updates made."""
    found = dict(enumerate(rates(trainer), start=1))
    assert len(found) == 10_000
    assert found[1] == 0
    assert found[100] == pytest.approx(1e-2 * 99 / 500)
    assert found[500] == pytest.approx(1e-2 * 499 / 500)
    assert found[501] == max(found.values()) == pytest.approx(1e-2)
    assert found[5251] == pytest.approx(0.5e-2)
    assert found[10_000] == pytest.approx(1e-2 * 0.5 * (1 - math.cos(math.pi / 9500)), rel=1e-4)


def test_the_paper_s_optimiser(trainer):
    assert isinstance(trainer.optimizer, torch.optim.SGD)
    groups = trainer.optimizer.param_groups
    for group in groups:
        assert (group["momentum"], group["weight_decay"], group["nesterov"], group["dampening"]) == (0.9, 0, False, 0)
    assert sum(len(group["params"]) for group in groups) == len(list(trainer.model.parameters()))
    assert trainer.args.max_grad_norm == 1


def test_the_optimiser_of_the_paper_s_language_understanding(tmp_path):
    """Adam with betas 0.9 and 0.98, a line from the end of the warm-up to 1e-7; biases and norms are not decayed."""
    sizes = {"width": 16, "depth": 1, "heads": 2, "feed_forward": 32, "vocabulary": 50, "pretrained": "null"}
    words = [f"--model.{key}={value}" for key, value in sizes.items()]
    made = make(load_recipe("rte_bert_base", [*words, "--train.precision=fp32"]), tmp_path)
    assert isinstance(made.optimizer, torch.optim.AdamW)
    decays = {}
    for group in made.optimizer.param_groups:
        assert (group["betas"], group["eps"]) == ((0.9, 0.98), 1e-6)
        decays[group["weight_decay"]] = {weight.ndim for weight in group["params"]}
    assert decays == {0.01: {2}, 0.0: {1}}
    found = dict(enumerate(rates(made), start=1))
    assert found[1] == 0
    assert found[123] == max(found.values()) == pytest.approx(1e-5)
    assert found[1080] == pytest.approx((1e-5 + 1e-7) / 2)
    assert found[2036] == pytest.approx(1e-7 + (1e-5 - 1e-7) / 1914)
