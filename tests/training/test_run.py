"""Whole runs on real digits, tiny models: what they leave behind, resume, determinism, NaN."""

import json
import math
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from regdrop.errors import CheckpointError, DataError, NonFiniteError, NoNoiseError, RecipeError
from regdrop.training import run
from regdrop.training.evaluation import evaluate
from regdrop.training.recipe import load_recipe
from regdrop.training.summary import RunSummary
from regdrop.training.trainer import TaskTrainer
from tiny import tiny_recipe


def train(recipe, out, seed=0, resume=False):
    return run.train(recipe, out, seed=seed, resume=resume, progress=False)


def records(out, timed=False):
    found = [json.loads(line) for line in (out / "records.jsonl").read_text().splitlines()]
    return found if timed else [{key: value for key, value in line.items() if key != "seconds"} for line in found]


def steps(out):
    return [line for line in records(out) if "loss" in line]


def evaluations(out):
    return [line for line in records(out) if "eval_loss" in line]


def equal_weights(one, other):
    first, second = load_file(one / "best" / "model.safetensors"), load_file(other / "best" / "model.safetensors")
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def stop_after(monkeypatch, steps):
    """Interrupt training in the step after `steps`."""
    original = TaskTrainer.training_step

    def training_step(self, *args, **kwargs):
        if self.state.global_step == steps:
            raise KeyboardInterrupt
        return original(self, *args, **kwargs)

    monkeypatch.setattr(TaskTrainer, "training_step", training_step)


def test_a_run_leaves_its_recipe_records_weights_and_summary(tmp_path):
    recipe = tiny_recipe(train__steps=8, train__eval_every=3)
    summary = train(recipe, tmp_path / "run", seed=5)
    assert load_recipe(tmp_path / "run") == recipe
    assert [line["step"] for line in steps(tmp_path / "run")] == list(range(1, 9))
    assert [line["step"] for line in evaluations(tmp_path / "run")] == [3, 6, 8]
    for line in steps(tmp_path / "run"):
        assert line["loss"] == pytest.approx(line["task_loss"] + recipe.rdrop.alpha * line["kl"], rel=1e-5)
    assert steps(tmp_path / "run")[0]["task_loss"] == pytest.approx(2 * math.log(10), abs=1e-4)
    assert steps(tmp_path / "run")[0]["kl"] == 0
    assert steps(tmp_path / "run")[-1]["kl"] > 0
    seconds = [line["seconds"] for line in records(tmp_path / "run", timed=True)]
    assert seconds == sorted(seconds)
    assert RunSummary.from_json((tmp_path / "run" / "summary.json").read_text()) == summary
    assert (summary.recipe, summary.seed, summary.steps) == (recipe.name, 5, 8)
    assert summary.rdrop["alpha"] == recipe.rdrop.alpha
    assert not list((tmp_path / "run").rglob(".*"))


def test_the_best_weights_are_chosen_on_validation(tmp_path):
    summary = train(tiny_recipe(train__steps=12, train__eval_every=3, train__learning_rate=0.03), tmp_path / "run")
    best = max(evaluations(tmp_path / "run"), key=lambda line: line["eval_accuracy"])  # the first of equals
    assert summary.best_step == best["step"]
    assert summary.validation == {key: best[f"eval_{key}"] for key in ("accuracy", "ece", "loss")}
    assert evaluate(
        load_recipe(tmp_path / "run"), tmp_path / "run", split="validation", progress=False
    ) == pytest.approx(summary.validation)


def test_evaluation_gives_the_number_that_training_reported(tmp_path):
    recipe = tiny_recipe(train__learning_rate=0.01)
    summary = train(recipe, tmp_path / "run")
    for place in ("", "best", "best/model.safetensors", f"checkpoint-{summary.best_step}"):
        assert evaluate(recipe, tmp_path / "run" / place, progress=False) == summary.test


def test_tensorboard_has_the_same_curves(tmp_path):
    train(tiny_recipe(), tmp_path / "run")
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    for tag, key in (("train/loss", "loss"), ("train/kl", "kl"), ("train/task_loss", "task_loss")):
        drawn = [(scalar.step, scalar.value) for scalar in events.Scalars(tag)]
        assert drawn == [(line["step"], pytest.approx(line[key])) for line in steps(tmp_path / "run")]
    assert len(events.Scalars("eval/accuracy")) == 2


def test_the_same_seed_gives_the_same_run_and_another_seed_another(tmp_path):
    for name, seed in (("one", 7), ("two", 7), ("other", 8)):
        train(tiny_recipe(data__augmentation="shift"), tmp_path / name, seed=seed)
    assert records(tmp_path / "one") == records(tmp_path / "two")
    assert equal_weights(tmp_path / "one", tmp_path / "two")
    assert records(tmp_path / "one") != records(tmp_path / "other")


# 100 images in batches of 32 are 4 steps an epoch: 5 continues from the end of an epoch, 7 from its middle.
@pytest.mark.parametrize(
    ("interrupted", "continued", "enabled"),
    [(1, 0, "true"), (5, 4, "true"), (7, 6, "true"), (9, 8, "true"), (5, 4, "false"), (7, 6, "false")],
)
def test_an_interrupted_run_continues_as_if_nothing_had_happened(
    tmp_path, monkeypatch, interrupted, continued, enabled
):
    recipe = tiny_recipe(
        rdrop__enabled=enabled,
        data__augmentation="shift",
        data__train_limit=100,
        train__batch_size=32,
        train__micro_batch=16,
        train__steps=10,
        train__eval_every=2,
    )
    whole = train(recipe, tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_after(patch, interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(recipe, tmp_path / "parts")
    assert steps(tmp_path / "parts")[-1]["step"] == interrupted
    assert run.RunFolder(tmp_path / "parts").last_checkpoint() == continued
    parts = train(recipe, tmp_path / "parts", resume=True)
    assert records(tmp_path / "parts") == records(tmp_path / "whole")
    assert equal_weights(tmp_path / "parts", tmp_path / "whole")
    assert (parts.test, parts.validation, parts.best_step) == (whole.test, whole.validation, whole.best_step)


def test_a_run_that_lacks_only_its_summary_trains_no_further(tmp_path, monkeypatch):
    recipe = tiny_recipe(train__steps=7)
    whole = train(recipe, tmp_path / "run")
    before = (tmp_path / "run" / "records.jsonl").read_bytes()
    (tmp_path / "run" / "summary.json").unlink()
    monkeypatch.setattr(TaskTrainer, "training_step", None)
    assert train(recipe, tmp_path / "run", resume=True).test == whole.test
    assert (tmp_path / "run" / "records.jsonl").read_bytes() == before


def test_a_finished_run_is_returned_at_once(tmp_path, monkeypatch):
    recipe = tiny_recipe()
    summary = train(recipe, tmp_path / "run")
    monkeypatch.setattr(run, "find_task", None)
    assert train(recipe, tmp_path / "run", resume=True) == summary
    with pytest.raises(RecipeError, match="not empty"):
        train(recipe, tmp_path / "run")


def test_accumulation_does_not_move_the_gradient(tmp_path):
    """One micro-batch of 64 or four of 16, with a rate so low that nothing is ever dropped."""
    for name, micro in (("one", 64), ("four", 16)):
        train(tiny_recipe(train__micro_batch=micro, train__steps=2, model__dropout=1e-9), tmp_path / name)
    one, four = (steps(tmp_path / name)[0] for name in ("one", "four"))
    assert four["loss"] == pytest.approx(one["loss"], rel=1e-6)
    assert four["grad_norm"] == pytest.approx(one["grad_norm"], rel=1e-4)


def test_plain_training_has_the_usual_mean_and_no_divergence(tmp_path):
    train(tiny_recipe(rdrop__enabled="false"), tmp_path / "run")
    first = steps(tmp_path / "run")[0]
    assert first["loss"] == first["task_loss"] == pytest.approx(math.log(10), abs=1e-4)
    assert first["kl"] is None


@pytest.mark.parametrize(("enabled", "factor"), [("true", 2), ("false", 1)])
def test_label_smoothing_is_for_training_alone(tmp_path, enabled, factor):
    recipe = tiny_recipe(
        rdrop__enabled=enabled, rdrop__label_smoothing=1.0, train__learning_rate=0.01, train__weight_decay=0
    )
    summary = train(recipe, tmp_path)
    # Smoothed to the end the target is uniform, so that the loss cannot fall below log 10.
    assert all(line["task_loss"] >= factor * math.log(10) - 1e-5 for line in steps(tmp_path))
    assert evaluate(recipe, tmp_path, split="validation", progress=False) == pytest.approx(summary.validation)


def test_every_second_step_is_plain(tmp_path):
    train(tiny_recipe(rdrop__every=2), tmp_path / "run")
    assert [line["kl"] is None for line in steps(tmp_path / "run")] == [False, True] * 3


@pytest.mark.parametrize(
    ("eval_every", "message"),
    [
        (100, r"loss is (nan|inf).*, items \d+, .* of the training data, at step 3; there is no checkpoint yet"),
        (1, r"eval loss is (nan|inf) at step 2; .*checkpoint-1;"),
    ],
)
def test_a_loss_that_is_not_finite_stops_the_run(tmp_path, eval_every, message):
    recipe = tiny_recipe(train__learning_rate=1e30, train__warmup_steps=2, train__eval_every=eval_every)
    with pytest.raises(NonFiniteError, match=message) as caught:
        train(recipe, tmp_path / "run")
    assert "lower --train.learning_rate (now 1e+30)" in str(caught.value)
    assert not (tmp_path / "run" / "summary.json").exists()


def test_what_is_refused_does_not_take_the_folder(tmp_path):
    missing = tiny_recipe(data__source="folder", data__path=str(tmp_path / "absent"))
    uneven, still = tiny_recipe(train__micro_batch=60), tiny_recipe(model__dropout=0)
    for recipe, error in ((missing, DataError), (uneven, RecipeError), (still, NoNoiseError)):
        with pytest.raises(error):
            train(recipe, tmp_path / "run")
    with pytest.raises(RecipeError, match="seed -1 is out of range"):
        train(tiny_recipe(), tmp_path / "run", seed=-1)
    assert train(tiny_recipe(model__dropout=0, rdrop__enabled="false"), tmp_path / "run").finished


def test_weights_of_another_model_are_refused(tmp_path):
    train(tiny_recipe(), tmp_path / "run")
    for change, message in (({"model__width": 32}, "has shape"), ({"model__depth": 2}, "missing")):
        with pytest.raises(CheckpointError, match=message):
            evaluate(tiny_recipe(**change), tmp_path / "run", progress=False)
    (tmp_path / "run" / "best" / "model.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        evaluate(tiny_recipe(), tmp_path / "run", progress=False)


FASHION = Path("/usr/share/datasets/fashion-mnist")


@pytest.mark.skipif(not FASHION.is_dir(), reason="Debian's dataset-fashion-mnist is not installed")
def test_real_fashion_mnist_is_learnt_and_scored_alike(tmp_path):
    settings = {
        "data.train_limit": 2000,
        "model.width": 32,
        "model.depth": 1,
        "model.heads": 2,
        "train.steps": 60,
        "train.batch_size": 100,
        "train.warmup_steps": 5,
        "train.learning_rate": 0.01,
    }
    recipe = load_recipe("fashion_mnist_vit", [f"--{key}={value}" for key, value in settings.items()])
    summary = train(recipe, tmp_path / "run")
    assert summary.test["accuracy"] > 0.3
    assert evaluate(load_recipe(tmp_path / "run"), tmp_path / "run", progress=False) == summary.test


CIFAR = Path(os.environ.get("REGDROP_DATA", "")) / "cifar10-jpeg"


@pytest.mark.skipif(not CIFAR.is_dir(), reason="REGDROP_DATA has no cifar10-jpeg")
def test_real_colour_images_from_a_zip(tmp_path):
    settings = {"data.source": "folder", "data.path": CIFAR / "test.zip", "data.train_limit": 200, "train.steps": 2}
    small = {"model.width": 16, "model.depth": 1, "model.heads": 2, "train.batch_size": 20, "train.micro_batch": 20}
    recipe = load_recipe("cifar10_vit", [f"--{key}={value}" for key, value in (settings | small).items()])
    assert set(train(recipe, tmp_path / "run").test) == {"accuracy", "ece", "loss"}
