"""Commands: what they print, which code they exit with, what they say when something is wrong."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from regdrop.checkpoints.vit import load_vit
from regdrop.cli import main
from regdrop.cli.studies import NAMES
from regdrop.studies.catalogue import STUDIES
from regdrop.training import run
from regdrop.training.recipe import load_recipe, recipe_names
from regdrop.training.summary import RunSummary
from tiny import SETTINGS, tiny_recipe
from vit_reference import google_arrays

TINY = [word for key, value in SETTINGS.items() for word in (f"--{key}", str(value))]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder and summary of a finished tiny run."""
    out = tmp_path_factory.mktemp("cli") / "run"
    return out, run.train(tiny_recipe(), out, seed=3, progress=False)


def shell(*words):
    return subprocess.run([sys.executable, *words], capture_output=True, text=True)


def test_help_teaches_by_example_without_waiting_for_torch():
    code = "import sys, regdrop.cli\ntry: regdrop.cli.main(['--help'])\nfinally: assert 'torch' not in sys.modules"
    done = shell("-c", code)
    assert done.returncode == 0, done.stderr
    for command in ("recipes", "train", "eval", "compare", "study", "diagnose", "report", "plan", "convert", "alpha"):
        assert command in done.stdout
        shown = shell("-m", "regdrop", command, "--help").stdout
        assert f"examples:\n  regdrop {command}" in shown


def test_no_command_or_a_wrong_word_exits_with_2(capsys):
    for words in ([], ["trian"], ["train", "digits_vit", "--sed", "3"], ["train"]):
        with pytest.raises(SystemExit) as caught:
            main(words)
        assert caught.value.code == 2
    assert "unrecognized arguments: --sed 3" in capsys.readouterr().err


def test_recipes_lists_all_with_their_purpose(capsys):
    assert main(["recipes", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert list(listed) == recipe_names()
    assert main(["recipes"]) == 0
    text = capsys.readouterr().out
    assert all(f"{name} " in text and purpose in text for name, purpose in listed.items())


def test_recipes_shows_one_as_it_is_or_with_settings(capsys):
    assert main(["recipes", "digits_vit"]) == 0
    assert capsys.readouterr().out.startswith("# Purpose: ")
    assert main(["recipes", "digits_vit", "--rdrop.alpha", "0.5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == load_recipe("digits_vit", ["--rdrop.alpha", "0.5"]).to_dict()


def test_train_prints_its_summary_and_eval_the_same_score(tmp_path, capsys, finished):
    _, wanted = finished
    out = tmp_path / "run"
    assert main(["train", "digits_vit", "--seed", "3", "--out", str(out), "--json", *TINY]) == 0
    summary = RunSummary.from_json(capsys.readouterr().out)
    assert summary.test == wanted.test
    assert (out / "curves.png").stat().st_size > 10_000
    for words in ([str(out)], ["digits_vit", "--checkpoint", str(out / "best" / "model.safetensors"), *TINY]):
        assert main(["eval", *words, "--json"]) == 0
        shown = capsys.readouterr()
        assert json.loads(shown.out) == summary.test
        assert "loss=" in shown.err
    assert main(["eval", str(out), "--split", "validation"]) == 0
    assert f"accuracy  {summary.validation['accuracy']:.4f}\n" in capsys.readouterr().out


def test_train_says_where_everything_is(capsys, finished):
    out, summary = finished
    assert main(["train", str(out), "--seed", "3", "--out", str(out), "--resume"]) == 0
    text = capsys.readouterr().out
    assert f"accuracy  {summary.test['accuracy']:.4f}\n" in text
    assert f"regdrop eval {out}" in text


def test_the_default_folder_is_named_for_recipe_and_seed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "digits_vit", "--seed", "4", *TINY]) == 0
    assert (tmp_path / "runs" / "digits_vit-seed4" / "summary.json").is_file()
    assert main(["train", "digits_vit", "--seed", "4", *TINY]) == 2
    assert "pass --resume to continue its run, or another --out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["train", "digits_vlt"], 2, "unknown recipe 'digits_vlt': did you mean 'digits_vit'?"),
        (["train", "digits_vit", "--train.stepz", "3"], 2, "unknown key 'train.stepz': did you mean 'train.steps'?"),
        (["train", "digits_vit", "--train.steps"], 2, "--train.steps needs a value"),
        (["train", "digits_vit", "--seed", "-1"], 2, "seed -1 is out of range"),
        (["train", "cifar10_vit", "--data.path", "absent"], 3, "no CIFAR-10 in absent"),
        (["train", "fashion_mnist_vit", "--data.path", "absent"], 3, "apt-get install dataset-fashion-mnist"),
        (["eval", "digits_vit"], 4, "no weights in digits_vit"),
        (["eval", "digits_vit", "--checkpoint", "absent"], 4, "no weights in absent"),
        (["train", "digits_vit", *TINY, "--train.learning_rate", "1e30"], 5, "of the training data, at step"),
        (["train", "digits_vit", *TINY, "--model.dropout", "0"], 1, "dropout"),
        (["train", "digits_vit", "--out", "/dev/null/run"], 1, "/dev/null/run"),
        (["plan", "digits_vit", "--ways", "repaly"], 2, "unknown way 'repaly': did you mean 'replay'?"),
        (["plan", "digits_vit", "--train.micro_batch", "60"], 2, "is not a multiple of train.micro_batch 60"),
    ],
)
def test_errors_are_one_line_with_their_code(tmp_path, monkeypatch, capsys, words, code, message):
    monkeypatch.chdir(tmp_path)
    assert main(words) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    last = shown.err.replace("\r", "\n").splitlines()[-1].strip()
    assert last.startswith("regdrop: ")
    assert message in last


def test_ctrl_c_is_130(monkeypatch, tmp_path, capsys):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "train", interrupt)
    assert main(["train", "digits_vit", "--out", str(tmp_path)]) == 130
    assert capsys.readouterr().err.endswith("regdrop: interrupted; the same command continues (train: with --resume)\n")


def test_a_missing_extra_is_one_line():
    code = (
        "import sys; sys.modules['timm'] = None; from regdrop.cli import main; sys.exit(main(['train', 'digits_vit']))"
    )
    done = shell("-c", code)
    assert (done.returncode, done.stdout) == (1, "")
    assert "pip install 'regdrop[train]'" in done.stderr
    assert done.stderr.count("\n") == 1


def test_compare_prints_a_table_or_json(tmp_path, capsys):
    words = ["compare", "digits_vit", "--seeds", "2", "--out", str(tmp_path / "all"), *TINY]
    assert main(words) == 0
    text = capsys.readouterr().out
    assert "regdrop.attach" in text
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((tmp_path / "all" / "study.json").read_text())


def test_study_sweeps_a_grid_and_writes_its_report(tmp_path, capsys):
    out = tmp_path / "sweep"
    words = ["study", "alpha", "digits_vit", "--seeds", "1", "--grid", "0.5,2", "--out", str(out), *TINY]
    assert main([*words, "--json"]) == 0
    study = json.loads(capsys.readouterr().out)
    assert study == json.loads((out / "study.json").read_text())
    assert [arm["label"] for arm in study["arms"]] == ["baseline", "alpha = 0.5", "alpha = 2", "alpha = 4"]
    assert study["choice"]["finding"] in (out / "study.md").read_text()


def test_every_study_is_in_the_help_and_in_the_docs():
    page = (Path(__file__).parent.parent / "docs" / "studies.md").read_text()
    for name in STUDIES:
        assert f"\n  {name} " in NAMES
        assert f"\n| `{name}` |" in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["study", "alhpa", "digits_vit"], "unknown study 'alhpa': did you mean 'alpha'?"),
        (["study", "kl", "digits_vit", "--grid", "1"], "--grid: the study kl has no grid"),
        (["study", "every", "digits_vit", "--grid", "1.5"], "--grid 1.5: rdrop.every counts; give whole numbers"),
        (["study", "alpha", "digits_vit", "--trials", "3"], "--trials: the study alpha tries its grid"),
        (["study", "alpha", "digits_vit", "--seeds", "0"], "--seeds 0: a study needs at least 1"),
        (["compare", "digits_vit", "--workers", "0"], "--workers 0: a study needs at least 1"),
    ],
)
def test_a_study_that_cannot_be_is_refused_before_it_begins(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_plan_prints_a_table_or_json(capsys):
    words = ["plan", "digits_vit", "--ways", "concat, head", "--rounds", "1", *TINY]
    assert main(words) == 0
    text = capsys.readouterr().out
    assert "head cannot be had: " in text
    assert "Take concat: exact R-Drop at " in text
    assert main(["plan", "digits_vit", "--ways", "twins", "--rounds", "1", "--json", *TINY]) == 0
    assert [cost["way"] for cost in json.loads(capsys.readouterr().out)["costs"]] == ["plain", "twins"]


def test_convert_fits_a_checkpoint_and_says_what_it_wrote(tmp_path, capsys):
    source, target = tmp_path / "google.npz", tmp_path / "vit.safetensors"
    np.savez(source, **google_arrays())
    assert main(["convert", str(source), str(target), "--image-size", "20", "--new-head", "7", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"written": str(target), "bytes": target.stat().st_size}
    state = load_vit(target)
    assert state["pos_embed"].shape == (1, 26, 64)
    assert state["head.weight"].shape == (7, 64)


def test_convert_refuses_in_one_line(tmp_path, capsys):
    (tmp_path / "vit.npz").write_bytes(b"weights")
    for words, code, said in (
        ([str(tmp_path / "vit.npz"), str(tmp_path / "vit.pth")], 4, "vit.npz: is no readable zip archive"),
        ([str(tmp_path / "vit.npz"), str(tmp_path / "vit.zip")], 2, "'.zip' is no known checkpoint format"),
        ([str(tmp_path / "no.npz"), str(tmp_path / "vit.pth"), "--model.depth", "3"], 2, "--model.depth is a setting"),
    ):
        assert main(["convert", *words]) == code
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["vit.npz"]


def test_alpha_prints_the_whole_table(capsys):
    assert main(["alpha", "--micro-batch", "32"]) == 0
    rows = {line.split()[0]: line.split()[1:3] for line in capsys.readouterr().out.splitlines() if line}
    assert rows["vit"] == ["0.3", "19.2"]
    assert rows["bert4torch"] == ["1", "?"]
    assert main(["alpha", "--micro-batch", "32", "--json"]) == 0
    table = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert table["hf-bert"]["here"] == 16
    assert table["bert4torch"]["here"] is None


def test_alpha_translates_one(capsys):
    assert main(["alpha", "0.3", "--convention", "vit", "--micro-batch", "32", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"alpha": 19.2}
    assert main(["alpha", "1", "--convention", "vti"]) == 2
    assert "did you mean 'vit'" in capsys.readouterr().err
    assert main(["alpha", "--rdrop.alpha", "1"]) == 2
    assert "alpha takes none" in capsys.readouterr().err
