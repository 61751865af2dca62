import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from regdrop.errors import RecipeError
from regdrop.tasks.task import Splits, find_task
from regdrop.training.arguments import training_arguments
from regdrop.training.recipe import load_recipe
from regdrop.training.restarts import restarted_cosine, restarting_schedule
from regdrop.training.settings import TrainSettings
from regdrop.training.trainer import TaskTrainer

PAPER = {"warmup": 16_000, "period": 270_000, "growth": 2.0, "shrink": 0.75, "floor": 1e-4}


@pytest.mark.parametrize(
    ("step", "share"),
    [
        (0, 0),
        (8_000, 0.5),
        (16_000, 1),
        (151_000, (1 + 1e-4) / 2),
        (285_999, 1e-4),
        (286_000, 0.75),  # the first restart; the period to come has 540,000 steps
        (286_000 + 270_000, 0.75 * (1 + 1e-4) / 2),
        (286_000 + 540_000, 0.75**2),
    ],
)
def test_the_schedule_of_adaptive_inputs(step, share):
    assert restarted_cosine(step, **PAPER) == pytest.approx(share, rel=1e-5, abs=1e-9)


@given(step=st.integers(0, 3000), period=st.integers(1, 500), growth=st.floats(1, 3), shrink=st.floats(0.1, 1))
def test_it_stays_between_nothing_and_its_peak(step, period, growth, shrink):
    share = restarted_cosine(step, warmup=100, period=period, growth=growth, shrink=shrink, floor=0.01)
    assert 0 <= share <= 1


def test_one_period_is_the_usual_cosine():
    settings = TrainSettings(steps=100, batch_size=1, learning_rate=0.5, eval_every=1, schedule="cosine_restarts")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    schedule = restarting_schedule(optimizer, settings)
    for step in range(100):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.25 * (1 + math.cos(math.pi * step / 100)))
        optimizer.step()
        schedule.step()


def test_nesterov_needs_a_momentum():
    with pytest.raises(RecipeError, match="nesterov"):
        TrainSettings(steps=1, batch_size=1, learning_rate=1.0, eval_every=1, nesterov=True, momentum=0.0)


def test_the_optimiser_and_the_rates_of_adaptive_inputs(tmp_path):
    small = ["--model.vocabulary=40", "--model.cutoffs=10,20", "--model.width=16", "--model.depth=1", "--model.heads=2"]
    recipe = load_recipe("wikitext103_adaptive", [*small, "--train.precision=fp32"])
    task, arguments = find_task(recipe.task), training_arguments(recipe.train, tmp_path, seed=0)
    trainer = TaskTrainer(task, Splits([], [], [], torch.stack), task.build(recipe.model), arguments, recipe.train)
    trainer.create_optimizer_and_scheduler(recipe.train.steps)
    assert isinstance(trainer.optimizer, torch.optim.SGD)
    for group, rate in zip(trainer.optimizer.param_groups, trainer.lr_scheduler.lr_lambdas, strict=True):
        assert (group["momentum"], group["nesterov"], group["weight_decay"], group["dampening"]) == (0.99, True, 0, 0)
        assert group["initial_lr"] == 1.0
        assert [rate(step) for step in (0, 16_000, 286_000)] == [0, 1, 0.75]
    assert trainer.args.max_grad_norm == 0.1
