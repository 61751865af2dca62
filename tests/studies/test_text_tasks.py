"""`regdrop compare` on a small recipe of every text task, on tiny files: with and without R-Drop, two seeds."""

import json
import math
from itertools import product
from string import ascii_lowercase

import pytest

import sentence_files
from regdrop.cli.main import main
from seq2seq_files import english, translation_row, write_parts

LAYERS = {"model.width": 16, "model.heads": 2, "model.feed_forward": 32, "model.vocabulary": 300}
SEQ2SEQ = LAYERS | {"model.layers": 1, "model.positions": 60, "model.max_output": 9, "train.max_tokens": 400}
STEPS = {"train.steps": 2, "train.eval_every": 1, "train.warmup_steps": 1, "train.precision": "fp32"}


def sentences(folder):
    sentence_files.write(folder, "sst2", train=60, validation=20, test=20)
    return sentence_files.SIZES | {"data.path": folder}


def pairs(folder):
    write_parts(folder, lambda i: translation_row(i)["translation"])
    return SEQ2SEQ | {"data.path": folder, "train.batch_size": 400}


def descriptions(folder):
    names = ["".join(pair) for pair in product(ascii_lowercase, repeat=2)]
    rows = [{"source": name, "synopsis": english(i)[:30], "text": english(i) * 3} for i, name in enumerate(names[:100])]
    folder.mkdir()
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return SEQ2SEQ | {"data.path": folder / "rows.jsonl", "train.batch_size": 400}


def lines(folder):
    folder.mkdir()
    for name in ("train", "validation", "test"):
        (folder / f"{name}.txt").write_text("\n".join(english(i) for i in range(200)))
    blocks = {"data.block": 16, "data.window": 16, "data.context": 4, "data.validation": 40}
    return LAYERS | blocks | {"model.depth": 1, "model.positions": 17, "train.batch_size": 4}


TASKS = {
    "sst2_scratch": (sentences, "accuracy"),
    "multi30k_transformer": (pairs, "bleu"),
    "debian_synopsis_seq2seq": (descriptions, "rougeL"),
    "tiny_shakespeare_gpt": (lines, "perplexity"),
}


@pytest.mark.parametrize("name", TASKS)
def test_compare_trains_and_judges_every_text_task(name, tmp_path, capsys):
    write, metric = TASKS[name]
    settings = {"data.path": tmp_path / "data"} | write(tmp_path / "data") | STEPS
    words = [word for key, value in settings.items() for word in (f"--{key}", str(value))]
    out = tmp_path / "out"
    assert main(["compare", name, "--seeds", "2", "--out", str(out), "--json", *words]) == 0
    study = json.loads(capsys.readouterr().out)
    assert sorted(len(arm["outcomes"]) for arm in study["arms"]) == [2, 2]
    for arm in study["arms"]:
        for outcome in arm["outcomes"]:
            assert math.isfinite(outcome["metrics"][metric])
    assert metric in {contrast["metric"] for contrast in study["contrasts"]}
    assert (out / "study.html").is_file()
