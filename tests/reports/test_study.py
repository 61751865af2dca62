"""The report is made of the records alone, and its text ends with the line to copy."""

import pytest
from PIL import Image

from comparisons import BASELINE, R_DROP, arm_result, comparison_of, study_of
from regdrop.errors import DataError
from regdrop.reports.study import report_study
from regdrop.reports.tables import arm_table, contrast_table
from regdrop.studies.result import Choice, read_study
from reports.folders import write_study
from reports.page_text import read


def reported(out, study, **options):
    """What the terminal shows, the Markdown and what a reader of the HTML sees."""
    write_study(out, study, **options)
    text = report_study(study, out)
    return text, (out / "study.md").read_text(), read((out / "study.html").read_text())[0]


def test_text_and_pages_show_the_tables_and_every_finding(tmp_path, undrawn):
    study = comparison_of(BASELINE, R_DROP)
    text, markdown, html = reported(tmp_path, study)
    for table in (arm_table(study), contrast_table(study)):
        assert table.text("simple") in text
        assert table.text("github") in markdown
        for cell in (cell for row in table.rows for cell in row):
            assert cell in html
    for sentence in (*(contrast.finding for contrast in study.contrasts), *study.costs, *study.caveats):
        for shown in (text, markdown, html):
            assert sentence in shown
    assert study.command in markdown
    assert "](curves.png)" in markdown


def test_the_text_ends_with_the_line_that_adds_r_drop(tmp_path, undrawn):
    text, _, _ = reported(tmp_path, comparison_of(BASELINE, R_DROP))
    assert text.endswith("\n  regdrop.attach(model, alpha=0.5)")


def test_failed_runs_are_reported_first_and_not_looked_for(tmp_path, undrawn):
    sentence = "baseline, seed 3: failed, left out of every mean and pair (RuntimeError: out of memory)"
    for shown in reported(tmp_path, comparison_of([*BASELINE[:3], "RuntimeError: out of memory"], R_DROP)):
        assert sentence in shown
        assert "3 (1 failed)" in shown


def test_an_arm_that_failed_altogether_is_in_the_tables_alone(tmp_path):
    for shown in reported(tmp_path, comparison_of(["NaN"], R_DROP[:1])):
        assert "baseline, seed 0: failed" in shown
        assert "0 (1 failed)" in shown
    assert (tmp_path / "curves.png").stat().st_size > 10_000


def test_missing_records_of_a_finished_run_are_an_error(tmp_path):
    with pytest.raises(DataError, match=r"records\.jsonl cannot be read"):
        report_study(comparison_of(BASELINE, R_DROP), tmp_path)


def test_a_sweep_has_a_picture_along_its_factor(tmp_path):
    arms = [arm_result(f"alpha-{at:g}", f"alpha = {at:g}", 2, R_DROP, (at,)) for at in (0.0, 1.0, 10.0)]
    choice = Choice("alpha-10", "accuracy", 0.9, "The validation part chooses alpha = 10.")
    study = study_of(arm_result("baseline", "baseline", 1, BASELINE), *arms, factors=("alpha",), choice=choice)
    _, markdown, html = reported(tmp_path, study)
    assert "## Against alpha" in markdown
    assert choice.finding in html
    with Image.open(tmp_path / "sweep.png") as picture:
        assert picture.width > picture.height
    assert html.index("alpha = 10 - baseline") < html.index("alpha = 0 - baseline")  # the chosen arm comes first


def test_two_factors_make_a_table(tmp_path, undrawn):
    points = [(0.1, 0.1), (0.1, 0.3), (0.3, 0.3)]
    arms = [arm_result(f"{a}-{b}", f"rates {a}, {b}", 2, R_DROP, (a, b)) for a, b in points]
    study = study_of(arm_result("baseline", "baseline", 1, BASELINE), *arms, factors=("first rate", "second rate"))
    _, markdown, _ = reported(tmp_path, study)
    (row,) = [line for line in markdown.splitlines() if line.startswith("| 0.3 ") and "93.00" in line]
    assert [cell.strip() for cell in row.split("|")][1:4] == ["0.3", "-", "93.00 ± 0.82"]


def test_diagnoses_beside_the_runs_are_compared(tmp_path, undrawn):
    study = comparison_of(BASELINE[:3], R_DROP[:3])
    _, markdown, html = reported(tmp_path, study, diagnosed=True)
    assert "Sub-models and calibration" in html
    assert "R-Drop vs baseline, KL between sub-models: better by -" in markdown
    assert "](consistency.png)" in markdown


@pytest.mark.parametrize("name", ["../elsewhere", "a/b", "", ".."])
def test_an_arm_named_as_a_path_is_refused(tmp_path, name):
    study = study_of(arm_result(name, "baseline", 1, BASELINE), arm_result("r-drop", "R-Drop", 2, R_DROP))
    (tmp_path / "study.json").write_text(study.to_json())
    with pytest.raises(DataError, match="no name of a folder"):
        read_study(tmp_path)
