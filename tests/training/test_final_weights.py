import pytest
import torch

from regdrop.checkpoints.safetensors_file import read_safetensors
from regdrop.training.evaluation import evaluate
from regdrop.training.final_weights import kept_checkpoints
from regdrop.training.recipe import load_recipe
from regdrop.training.run import train
from tiny import tiny_recipe


def weights(path):
    return read_safetensors(path / "model.safetensors")


def test_the_mean_of_the_last_checkpoints_is_kept_scored_and_evaluated(tmp_path):
    recipe = tiny_recipe(train__steps=10, train__eval_every=2, train__average_last=4)
    summary = train(recipe, tmp_path / "run", seed=0, progress=False)
    last = [weights(tmp_path / "run" / f"checkpoint-{step}") for step in (4, 6, 8, 10)]
    for key, weight in weights(tmp_path / "run" / "best").items():
        torch.testing.assert_close(weight, sum(state[key] for state in last) / 4)
    assert summary.best_step == 10
    for split, metrics in (("validation", summary.validation), ("test", summary.test)):
        found = evaluate(load_recipe(tmp_path / "run"), tmp_path / "run", split=split, progress=False)
        assert found == pytest.approx(metrics, rel=1e-6)


def test_a_run_shorter_than_that_averages_all_it_has(tmp_path):
    recipe = tiny_recipe(train__steps=3, train__eval_every=2, train__average_last=5)
    train(recipe, tmp_path / "run", seed=0, progress=False)
    both = [weights(tmp_path / "run" / f"checkpoint-{step}") for step in (2, 3)]
    for key, weight in weights(tmp_path / "run" / "best").items():
        torch.testing.assert_close(weight, (both[0][key] + both[1][key]) / 2)


def test_else_the_best_checkpoint_is_kept(tmp_path):
    summary = train(tiny_recipe(), tmp_path / "run", seed=0, progress=False)
    best = weights(tmp_path / "run" / f"checkpoint-{summary.best_step}")
    for key, weight in weights(tmp_path / "run" / "best").items():
        assert torch.equal(weight, best[key])


def test_as_many_checkpoints_are_kept_as_are_needed():
    assert kept_checkpoints(tiny_recipe().train) == 3
    assert kept_checkpoints(tiny_recipe(train__average_last=10).train) == 11
