"""The monitor measures what a slow loop measures, and training does not feel it."""

import itertools
import json

import pytest
import torch

from regdrop.tasks.task import find_task
from regdrop.training.consistency import SUBMODELS, ConsistencyMonitor
from regdrop.training.run import train
from tiny import tiny_recipe


def test_the_kl_equals_a_slow_loop_over_items_and_pairs():
    recipe = tiny_recipe(model__dropout=0.3)
    task = find_task(recipe.task)
    torch.manual_seed(3)
    model, splits = task.build(recipe.model), task.load(recipe.data, recipe.model, 0)
    torch.nn.init.normal_(model.vit.head.weight)
    measured = ConsistencyMonitor(model, splits, items=20, batch=20).measure()["submodel_kl"]
    batch = splits.collate(splits.validation.__getitems__(list(range(20))))
    model.train()
    torch.manual_seed(0)
    with torch.no_grad():
        chances = [model(batch["pixel_values"]).logits.double().log_softmax(-1) for _ in range(SUBMODELS)]
    expected = [
        0.5 * sum(float((p.exp() - q.exp()) @ (p - q)) for p, q in zip(a, b, strict=True)) / 20
        for a, b in itertools.combinations(chances, 2)
    ]
    assert measured == pytest.approx(sum(expected) / len(expected), rel=1e-5)
    assert measured > 0.01


def test_batches_change_nothing_but_the_draws_of_noise_and_the_model_is_left_alone():
    recipe = tiny_recipe()
    task = find_task(recipe.task)
    model, splits = task.build(recipe.model), task.load(recipe.data, recipe.model, 0)
    monitor = ConsistencyMonitor(model, splits, items=8, batch=8)
    model.eval()
    state, weights = torch.get_rng_state(), {key: value.clone() for key, value in model.state_dict().items()}
    assert monitor.measure() == monitor.measure()
    assert torch.equal(state, torch.get_rng_state())
    assert not model.training
    assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("enabled", [True, False])
def test_training_does_not_feel_the_monitor(tmp_path, enabled):
    plain = tiny_recipe(rdrop__enabled=enabled)
    watched = tiny_recipe(rdrop__enabled=enabled, train__consistency_items=32)
    summaries = [train(one, tmp_path / name, seed=1, progress=False) for name, one in (("a", plain), ("b", watched))]
    losses = [
        [
            (record["step"], record["loss"])
            for line in (tmp_path / name / "records.jsonl").read_text().splitlines()
            if "loss" in (record := json.loads(line))
        ]
        for name in ("a", "b")
    ]
    assert losses[0] == losses[1]
    assert summaries[0].test == summaries[1].test
    assert summaries[1].validation.pop("submodel_kl") > 0
    assert summaries[0].validation == summaries[1].validation


def test_every_evaluation_records_it(tmp_path):
    train(tiny_recipe(train__consistency_items=32), tmp_path / "run", seed=0, progress=False)
    records = [json.loads(line) for line in (tmp_path / "run" / "records.jsonl").read_text().splitlines()]
    evaluations = [record for record in records if "eval_loss" in record]
    assert len(evaluations) == 2
    assert all(record["eval_submodel_kl"] > 0 for record in evaluations)
