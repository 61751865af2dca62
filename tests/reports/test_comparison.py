"""The report is made of the records alone, and ends with the line to copy."""

import pytest

from comparisons import BASELINE, R_DROP, comparison_of
from regdrop.errors import DataError
from regdrop.reports.comparison import report_comparison
from regdrop.reports.tables import arm_table, contrast_table
from regdrop.studies.jobs import run_folder
from run_records import write_run


def write_runs(comparison, out):
    for arm in comparison.arms:
        for outcome in arm.finished:
            write_run(run_folder(out, arm.name, outcome.seed), seed=outcome.seed, passes=arm.passes)


def test_text_and_page_show_the_tables_and_every_finding(tmp_path):
    comparison = comparison_of(BASELINE, R_DROP)
    write_runs(comparison, tmp_path)
    text = report_comparison(comparison, tmp_path)
    page = (tmp_path / "comparison.md").read_text()
    for shown, form in ((text, "simple"), (page, "github")):
        assert arm_table(comparison, form) in shown
        assert contrast_table(comparison, form) in shown
        for sentence in (
            *(contrast.finding for contrast in comparison.contrasts),
            *comparison.costs,
            *comparison.caveats,
        ):
            assert sentence in shown
    assert "](curves.png)" in page
    assert "`regdrop compare recipe.yaml --seeds 4` (2026-01-02; a machine; python 3.11)" in page


def test_the_text_ends_with_the_line_that_adds_r_drop(tmp_path):
    comparison = comparison_of(BASELINE, R_DROP)
    write_runs(comparison, tmp_path)
    assert report_comparison(comparison, tmp_path).endswith("\n  regdrop.attach(model, alpha=0.5)")


def test_failed_runs_are_reported_and_not_looked_for(tmp_path):
    comparison = comparison_of([*BASELINE[:3], "RuntimeError: out of memory"], R_DROP)
    write_runs(comparison, tmp_path)
    text = report_comparison(comparison, tmp_path)
    assert "baseline, seed 3: failed, left out of every mean and pair (RuntimeError: out of memory)" in text
    assert "out of memory" in (tmp_path / "comparison.md").read_text()


def test_an_arm_that_failed_altogether_is_in_the_tables_alone(tmp_path):
    comparison = comparison_of(["NaN"], R_DROP[:1])
    write_runs(comparison, tmp_path)
    text = report_comparison(comparison, tmp_path)
    assert "baseline, seed 0: failed" in text
    assert "0 (1 failed)" in text
    assert (tmp_path / "curves.png").stat().st_size > 10_000


def test_missing_records_of_a_finished_run_are_an_error(tmp_path):
    with pytest.raises(DataError, match=r"records\.jsonl cannot be read"):
        report_comparison(comparison_of(BASELINE, R_DROP), tmp_path)
