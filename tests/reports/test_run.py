"""The report of a run holds what its folder holds, finished or not."""

import json

import pytest
from PIL import Image

from regdrop.cli import main
from regdrop.errors import DataError
from regdrop.reports.run import draw_run, report_run
from regdrop.training import run
from reports.page_text import read
from tiny import tiny_recipe


@pytest.fixture(scope="module", params=["true", "false"])
def finished(tmp_path_factory, request):
    out = tmp_path_factory.mktemp("run") / "run"
    return (
        request.param == "true",
        out,
        run.train(tiny_recipe(rdrop__enabled=request.param), out, seed=2, progress=False),
    )


def test_the_picture_of_a_finished_run(finished):
    enabled, out, _ = finished
    with Image.open(draw_run(out)) as image:
        image.load()
        assert image.width > (4 if enabled else 3) * image.height


def test_the_page_says_what_the_run_came_to(finished):
    enabled, out, summary = finished
    text, tags = read(report_run(out).read_text())
    assert f"{100 * summary.test['accuracy']:.2f} %" in text
    assert f"Of the weights of step {summary.best_step}" in text
    assert ("R-Drop, alpha = 4" if enabled else "without R-Drop") in text
    assert "regdrop train recipe.yaml --seed 2" in text
    assert len([tag for tag, _ in tags if tag == "img"]) == (12 if enabled else 10)


def test_a_diagnosis_in_the_folder_is_shown(finished, capsys):
    _, out, _ = finished
    assert main(["diagnose", str(out), "--passes", "2", "--batches", "1", "--out", str(out)]) == 0
    verdict = json.loads((out / "diagnosis.json").read_text())["diagnosis"]["verdict"]["text"]
    assert verdict in read(report_run(out).read_text())[0]
    (out / "diagnosis.json").unlink()


def test_a_run_that_is_not_finished_is_shown_with_its_records(finished):
    enabled, out, _ = finished
    (out / "summary.json").rename(out / "summary.away")
    text, tags = read(report_run(out).read_text())
    (out / "summary.away").rename(out / "summary.json")
    assert "not finished" in text
    assert "the last record is of step 6" in text
    assert "regdrop train recipe.yaml --seed 2 --out . --resume" in text
    assert len([tag for tag, _ in tags if tag == "img"]) == (12 if enabled else 10)


def test_missing_records_and_damaged_summaries_are_named(finished):
    _, out, _ = finished
    whole = {name: (out / name).read_text() for name in ("records.jsonl", "summary.json")}
    damage = {
        "records.jsonl": ["", "{"],
        "summary.json": ["{", "[]", '{"recipe": 3}', whole["summary.json"].replace('"passes": 2', '"passes": "x"')],
    }
    for name, texts in damage.items():
        for text in texts:
            (out / name).write_text(text)
            with pytest.raises(DataError, match=name.replace(".", r"\.")):
                report_run(out)
        (out / name).write_text(whole[name])
