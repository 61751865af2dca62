"""Each kind of folder gets its report; anything else is refused in one line."""

import pytest

from regdrop.cli import main
from regdrop.errors import DataError
from regdrop.reports.report import report
from reports.folders import diagnosis_of, write_study
from tiny import tiny_recipe


def test_the_folder_decides(tmp_path, undrawn):
    write_study(tmp_path / "study")
    (tmp_path / "diagnosis").mkdir()
    (tmp_path / "diagnosis" / "diagnosis.json").write_text(diagnosis_of().to_json())
    assert report(tmp_path / "study") == tmp_path / "study" / "study.html"
    assert report(tmp_path / "diagnosis") == tmp_path / "diagnosis" / "diagnosis.html"
    (tmp_path / "study" / "runs" / "baseline" / "seed-0" / "recipe.yaml").write_text(tiny_recipe().to_yaml())
    assert report(tmp_path / "study" / "runs" / "baseline" / "seed-0").name == "run.html"


def test_the_same_records_give_the_same_page(tmp_path, undrawn):
    pages = []
    for name in ("one", "other"):
        write_study(tmp_path / name)
        pages.append(report(tmp_path / name).read_text())
    assert pages[0] == pages[1]


def test_a_folder_of_anything_else_is_refused(tmp_path, capsys):
    with pytest.raises(DataError, match="pass the folder of a study, a run or a diagnosis"):
        report(tmp_path)
    assert main(["report", str(tmp_path / "nowhere")]) == 3
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("text", ["{", "[]", '{"model": 1}', "x" * 10_000_001])
def test_a_damaged_diagnosis_is_named(tmp_path, text):
    (tmp_path / "diagnosis.json").write_text(text)
    with pytest.raises(DataError, match=r"diagnosis\.json"):
        report(tmp_path)


def test_the_command_says_where_the_pages_are(tmp_path, capsys, undrawn):
    write_study(tmp_path)
    assert main(["report", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert str(tmp_path / "study.html") in shown
    assert str(tmp_path / "study.md") in shown
