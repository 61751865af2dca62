"""The paper's recipes for translation and summarization: true widths on the meta device, two steps at tiny ones."""

import json

import pytest
import torch

from regdrop.tasks.task import find_task
from regdrop.training.evaluation import evaluate
from regdrop.training.recipe import load_recipe
from regdrop.training.run import train
from regdrop.training.summary import RunSummary
from seq2seq_files import summary_row, translation_row, write_parts

# Weights without the sinusoidal tables: embeddings, and the layers of encoder and decoder as fairseq counts them.
WEIGHTS = {
    "iwslt14_de_en": 10_000 * 512 + 31_543_296,
    "wmt14_en_de": 32_768 * 1024 + 176_357_376,
    "wmt14_en_fr": 40_960 * 1024 + 176_357_376,
    "bart_large_cnn_dm": 406_291_456,
}
TINY = {
    "model.vocabulary": 300,
    "model.width": 16,
    "model.feed_forward": 32,
    "model.layers": 1,
    "model.heads": 2,
    "model.positions": 60,
    "model.max_output": 9,
    "model.min_output": 0,
    "model.pretrained": "null",
    "train.steps": 2,
    "train.batch_size": 400,
    "train.max_tokens": 200,
    "train.eval_every": 1,
    "train.warmup_steps": 1,
    "train.precision": "fp32",
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_the_true_widths_have_the_published_number_of_weights(name):
    recipe = load_recipe(name)
    with torch.device("meta"):
        network = find_task(recipe.task).build(recipe.model)
    assert sum(weight.numel() for weight in network.parameters() if weight.requires_grad) == WEIGHTS[name]


def tiny_run(name, folder):
    """The recipe of a run of two steps on data of the official format, and its summary; the run is in `run`."""
    row = summary_row if name == "bart_large_cnn_dm" else translation_row
    settings = TINY | {"data.path": write_parts(folder / "data", row, (40, 4, 4))}
    if load_recipe(name).train.average_last:
        settings["train.average_last"] = 2
    recipe = load_recipe(name, [f"--{key}={value}" for key, value in settings.items()])
    return recipe, train(recipe, folder / "run", seed=0, progress=False)


@pytest.mark.parametrize("name", WEIGHTS)
def test_two_steps_on_data_of_the_official_format(name, tmp_path):
    recipe, summary = tiny_run(name, tmp_path)
    run = tmp_path / "run"
    steps = [json.loads(line) for line in (run / "records.jsonl").read_text().splitlines() if "task_loss" in line]
    assert len(steps) == 2
    for step in steps:
        assert step["kl"] > 0
        assert step["loss"] == pytest.approx(step["task_loss"] + recipe.rdrop.alpha * step["kl"], rel=1e-4)
    rouge = {"rouge1", "rouge2", "rougeL", "rougeLsum"}
    assert summary.test.keys() == {"loss", "perplexity"} | (rouge if recipe.task == "summarization" else {"bleu"})
    assert [*summary.signatures] == ["rouge" if recipe.task == "summarization" else "bleu"]
    assert RunSummary.from_json((run / "summary.json").read_text()) == summary
    assert evaluate(load_recipe(run), run, progress=False) == pytest.approx(summary.test, rel=1e-5)
