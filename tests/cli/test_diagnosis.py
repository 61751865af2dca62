"""The command `diagnose`: what it prints and writes, for each kind of model, and how it refuses."""

import json

import pytest
import torch

from diagnostics import slow
from regdrop.cli import main
from regdrop.diagnostics.submodels import switch_noise_on
from regdrop.reports.reading import read_diagnosis
from regdrop.studies.catalogue import find_study
from regdrop.studies.study import Options, run_study
from regdrop.training import run
from regdrop.training.subjects.find import Request, find_subject
from tiny import SETTINGS, tiny_recipe

TINY = [word for key, value in SETTINGS.items() for word in (f"--{key}", str(value))]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("diagnosis") / "run"
    run.train(tiny_recipe(train__steps=60, train__eval_every=60), out, seed=3, progress=False)
    return out


def diagnosed(capsys, *words):
    assert main(["diagnose", *map(str, words)]) == 0
    return capsys.readouterr().out


def by_hand(folder, passes, batches):
    """The same forwards in the same order, without the library's diagnosis."""
    subject = find_subject(Request(str(folder), batches=batches))
    model, full, sub, target = subject.model, [], [], []
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        for batch in subject.batches:
            pixels = batch["pixel_values"]
            full.append(model.eval()(pixels).logits)
            switch_noise_on(model)
            sub.append(torch.stack([model(pixels).logits for _ in range(passes)]))
            target.append(batch["labels"])
    return torch.cat(sub, 1), torch.cat(full), torch.cat(target)


def test_a_trained_digits_model_equals_the_slow_reference(trained, capsys):
    """One batch: further ones draw after the noise of the layers."""
    record = json.loads(diagnosed(capsys, trained, "--passes", 4, "--batches", 1, "--json"))
    found = record["diagnosis"]
    sub, full, target = by_hand(trained, 4, 1)
    assert found["consistency"] == pytest.approx(slow.consistency(sub, full, target), rel=1e-6)
    ece, table = slow.reliability(full, target, 15)
    assert found["calibration"]["ece"] == pytest.approx(ece)
    assert [part["items"] for part in found["calibration"]["bins"]] == [row[0] for row in table]
    assert (found["items"], found["classes"], found["passes"]) == (256, 10, 4)


def test_before_training_a_head_of_zeros_hides_the_noise(capsys):
    text = diagnosed(capsys, "digits_vit", "--passes", 2, "--batches", 1, *TINY)
    assert "Train some steps and diagnose again" in " ".join(text.split())


def test_without_dropout_it_says_how_to_switch_it_on(capsys):
    text = " ".join(diagnosed(capsys, "digits_vit", "--passes", 2, "--batches", 1, *TINY, "--model.dropout", 0).split())
    assert "would give the same output" in text


def test_out_gets_the_record_and_its_report(trained, tmp_path, capsys):
    text = diagnosed(capsys, trained, "--passes", 3, "--split", "test", "--out", tmp_path / "out")
    assert f"report: {tmp_path / 'out' / 'diagnosis.html'}" in text
    record = read_diagnosis(tmp_path / "out")
    assert record.diagnosis.to_text() in text
    assert record.diagnosis.items == 900
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"diagnosis.json", "diagnosis.md", "diagnosis.html", "reliability.png", "layers.png"}


def test_the_recorded_command_gives_the_same(trained, capsys, tmp_path):
    first = json.loads(diagnosed(capsys, trained, "--passes", 3, "--seed", 5, "--batches", 2, "--json"))
    assert first["command"].startswith(f"regdrop diagnose {trained} --split validation --passes 3")
    again = json.loads(diagnosed(capsys, *first["command"].split()[2:], "--json"))
    assert again["diagnosis"] == first["diagnosis"]


def test_a_study_is_diagnosed_run_by_run(tmp_path, capsys):
    recipe = tiny_recipe(train__steps=30, train__eval_every=30)
    run_study(find_study("compare"), recipe, tmp_path, Options(seeds=1, progress=False))
    text = diagnosed(capsys, tmp_path, "--passes", 2, "--batches", 1)
    assert "R-Drop vs baseline, KL between sub-models: " in text
    for arm in ("baseline", "r-drop"):
        record = read_diagnosis(tmp_path / "runs" / arm / "seed-0")
        options = "--split validation --passes 2 --batches 1 --seed 0"
        assert record.command == f"regdrop diagnose runs/{arm}/seed-0 {options}"
    assert "Sub-models and calibration" in (tmp_path / "study.html").read_text()
    assert main(["diagnose", str(tmp_path), "--out", "elsewhere"]) == 2
    assert "leave it out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["digits_vlt"], 2, "unknown recipe 'digits_vlt': did you mean 'digits_vit'?"),
        (["digits_vit", "--passes", "1"], 2, "passes=1"),
        (["digits_vit", "--batches", "0"], 2, "--batches 1 or more"),
        (["digits_vit", "elsewhere"], 3, "the digits come with scikit-learn"),
        (["digits_vit", "--weights", "absent"], 4, "no weights in absent"),
        (["timm:vit_tiny_patch16_224"], 2, "has no data of its own"),
    ],
)
def test_refusals_are_one_line(words, code, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["diagnose", *words]) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    last = shown.err.replace("\r", "\n").splitlines()[-1].strip()
    assert last.startswith("regdrop: ")
    assert message in last
