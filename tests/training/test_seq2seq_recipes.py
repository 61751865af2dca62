"""The paper's recipes for translation and summarization: true widths on the meta device, two steps at tiny ones."""

import json

import pytest
import torch

from regdrop.tasks.task import find_task
from regdrop.training.evaluation import evaluate
from regdrop.training.recipe import load_recipe
from regdrop.training.run import train
from regdrop.training.summary import RunSummary
from regdrop.training.trainer import TaskTrainer
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


def tiny(name, folder, **changes):
    """The recipe with its sizes overridden, on data of the official format that is written into a folder."""
    row = summary_row if name == "bart_large_cnn_dm" else translation_row
    settings = TINY | {"data.path": write_parts(folder / "data", row, (40, 4, 4))}
    settings |= {key.replace("__", "."): value for key, value in changes.items()}
    if load_recipe(name).train.average_last:
        settings["train.average_last"] = 2
    return load_recipe(name, [f"--{key}={value}" for key, value in settings.items()])


def records(run):
    found = [json.loads(line) for line in (run / "records.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in found]


@pytest.mark.parametrize("name", WEIGHTS)
def test_two_steps_on_data_of_the_official_format(name, tmp_path):
    recipe, run = tiny(name, tmp_path), tmp_path / "run"
    summary = train(recipe, run, seed=0, progress=False)
    steps = [line for line in records(run) if "task_loss" in line]
    assert len(steps) == 2
    for step in steps:
        assert step["kl"] > 0
        assert step["loss"] == pytest.approx(step["task_loss"] + recipe.rdrop.alpha * step["kl"], rel=1e-4)
    rouge = {"rouge1", "rouge2", "rougeL", "rougeLsum"}
    assert summary.test.keys() == {"loss", "perplexity"} | (rouge if recipe.task == "summarization" else {"bleu"})
    assert [*summary.signatures] == ["rouge" if recipe.task == "summarization" else "bleu"]
    assert RunSummary.from_json((run / "summary.json").read_text()) == summary
    assert evaluate(load_recipe(run), run, progress=False) == pytest.approx(summary.test, rel=1e-5)


def test_a_run_that_is_interrupted_within_an_epoch_of_token_batches_goes_on_as_if_it_was_not(tmp_path, monkeypatch):
    recipe = tiny("wmt14_en_de", tmp_path, train__steps=13, train__eval_every=5)
    whole = train(recipe, tmp_path / "whole", seed=1, progress=False)
    step = TaskTrainer.training_step

    def interrupted(self, *args, **kwargs):
        if self.state.global_step == 11:
            raise KeyboardInterrupt
        return step(self, *args, **kwargs)

    monkeypatch.setattr(TaskTrainer, "training_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "parts", seed=1, progress=False)
    monkeypatch.undo()
    parts = train(recipe, tmp_path / "parts", seed=1, resume=True, progress=False)
    assert records(tmp_path / "parts") == records(tmp_path / "whole")
    assert (parts.test, parts.validation) == (whole.test, whole.validation)
