import json

import pytest

from regdrop.errors import RecipeError
from regdrop.training import run
from regdrop.training.trainer import TaskTrainer
from tiny import tiny_recipe


def alphas(out):
    """The alpha of every step, from the parts of its loss."""
    lines = [json.loads(line) for line in (out / "records.jsonl").read_text().splitlines()]
    return {line["step"]: (line["loss"] - line["task_loss"]) / line["kl"] for line in lines if line.get("kl")}


def test_alpha_grows_with_the_step_also_after_an_interruption(tmp_path, monkeypatch):
    recipe = tiny_recipe(
        rdrop__alpha=4.0, rdrop__alpha_warmup_steps=4, train__steps=6, train__eval_every=2, train__learning_rate=0.03
    )
    run.train(recipe, tmp_path / "whole", seed=0, progress=False)
    found = alphas(tmp_path / "whole")
    assert max(found) == 6
    for step, alpha in found.items():
        assert alpha == pytest.approx(4.0 * min(1, (step - 1) / 4), abs=1e-2), step
    original = TaskTrainer.training_step

    def interrupted(self, *args, **kwargs):
        if self.state.global_step == 3:
            raise KeyboardInterrupt
        return original(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(TaskTrainer, "training_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run.train(recipe, tmp_path / "parts", seed=0, progress=False)
    run.train(recipe, tmp_path / "parts", seed=0, resume=True, progress=False)
    assert alphas(tmp_path / "parts") == found


@pytest.mark.parametrize("settings", [{"mode": "replay"}, {"mode": "sequential"}, {"twin_fraction": 0.25}])
def test_a_recipe_trains_in_every_mode(tmp_path, settings):
    recipe = tiny_recipe(train__learning_rate=0.01, **{f"rdrop__{key}": value for key, value in settings.items()})
    summary = run.train(recipe, tmp_path, seed=0, progress=False)
    assert summary.rdrop | settings == summary.rdrop
    assert max(alphas(tmp_path).values()) == pytest.approx(recipe.rdrop.alpha, rel=1e-3)


@pytest.mark.parametrize("settings", [{"penalty": "logit_mse"}, {"penalty": "full_kl"}, {"pass_dropout": "0.1,0.3"}])
def test_a_recipe_trains_with_what_r_drop_is_compared_with(tmp_path, settings):
    recipe = tiny_recipe(train__learning_rate=0.01, **{f"rdrop__{key}": value for key, value in settings.items()})
    summary = run.train(recipe, tmp_path, seed=0, progress=False)
    assert summary.rdrop | settings == summary.rdrop
    pulls = list(alphas(tmp_path).values())
    assert all(pull > 0 for pull in pulls)
    kept = recipe.rdrop.alpha == pytest.approx(sum(pulls) / len(pulls), rel=1e-3)
    assert kept == ("pass_dropout" in settings)  # beside a penalty, the KL that is recorded is not what alpha weighs


def test_replay_trains_as_sequential_does(tmp_path):
    found = [
        run.train(tiny_recipe(rdrop__mode=mode, train__learning_rate=0.01), tmp_path / mode, seed=0, progress=False)
        for mode in ("replay", "sequential")
    ]
    assert found[0].test == found[1].test
    assert alphas(tmp_path / "replay") == alphas(tmp_path / "sequential")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rdrop__mode": "replya"}, "rdrop"),
        ({"rdrop__twin_fraction": 0}, "section rdrop: twin_fraction=0.0 must be more than 0"),
        ({"rdrop__twin_fraction": 0.5, "rdrop__passes": 3}, "section rdrop: twin_fraction=0.5 is for two passes"),
        ({"rdrop__alpha_warmup_steps": -1}, "rdrop.alpha_warmup_steps is -1, but must be at least 0"),
    ],
)
def test_what_a_recipe_may_not_say(changes, message):
    with pytest.raises(RecipeError, match=message):
        tiny_recipe(**changes)
