"""Every number in a table is recomputed here from the outcomes."""

import re

import numpy as np
import pytest
from scipy import stats

from comparisons import BASELINE, R_DROP, arm_result, comparison_of, study_of
from regdrop.reports.tables import arm_table, contrast_table
from regdrop.studies.result import Choice


def cells(table):
    """Rows of a Markdown table without its head, as lists of texts."""
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()[2:]]


def test_means_and_deviations_are_those_of_the_runs():
    rows = cells(arm_table(comparison_of(BASELINE, R_DROP)).text("github"))
    for row, (label, values) in zip(rows, (("baseline", BASELINE), ("R-Drop", R_DROP)), strict=True):
        accuracy, loss, seconds = (np.array([run[key] for run in values]) for key in ("accuracy", "loss", "seconds"))
        assert row == [
            label,
            "100",
            "1" if values is BASELINE else "2",
            "4",
            f"{100 * accuracy.mean():.2f} ± {100 * accuracy.std(ddof=1):.2f}",
            f"{loss.mean():.4f} ± {loss.std(ddof=1):.4f}",
            f"{seconds.mean():.1f} ± {seconds.std(ddof=1):.1f}",
        ]


@pytest.mark.parametrize(("index", "key", "scale", "digits"), [(0, "accuracy", 100, 2), (1, "loss", 1, 4)])
def test_differences_are_paired_with_scipys_interval(index, key, scale, digits):
    row = cells(contrast_table(comparison_of(BASELINE, R_DROP)).text("github"))[index]
    treatment, reference = ([run[key] for run in values] for values in (R_DROP, BASELINE))
    interval = stats.ttest_rel(treatment, reference).confidence_interval(0.95)
    assert row[0] == "R-Drop - baseline"
    assert row[2] == f"{scale * (np.mean(treatment) - np.mean(reference)):+.{digits}f}"
    assert row[3] == f"{scale * interval.low:+.{digits}f} to {scale * interval.high:+.{digits}f}"
    assert row[5] == "4"


def test_a_failed_run_is_counted_beside_the_mean_of_the_others():
    comparison = comparison_of([*BASELINE[:3], "RuntimeError: out of memory"], R_DROP)
    row = cells(arm_table(comparison).text("github"))[0]
    assert row[3] == "3 (1 failed)"
    assert row[4].startswith(f"{100 * np.mean([run['accuracy'] for run in BASELINE[:3]]):.2f} ±")
    assert [row[5] for row in cells(contrast_table(comparison).text("github"))] == ["3", "3"]


def test_an_arm_of_which_every_run_failed_has_no_number():
    row = cells(arm_table(comparison_of(["NaN"] * 4, R_DROP)).text("github"))[0]
    assert row[3:] == ["0 (4 failed)", "-", "-", "-"]


def test_where_the_validation_part_chooses_its_metric_stands_beside_the_test():
    arms = arm_result("baseline", "baseline", 1, BASELINE), arm_result("alpha-1", "alpha = 1", 2, R_DROP, (1.0,))
    table = arm_table(study_of(*arms, factors=("alpha",), choice=Choice("alpha-1", "accuracy", 0.9, "Words.")))
    assert table.heads[4:6] == ("validation accuracy (%)", "accuracy (%)")
    for row, arm in zip(cells(table.text("github")), arms, strict=True):
        values = 100 * np.array([outcome.validation["accuracy"] for outcome in arm.outcomes])
        assert row[4] == f"{values.mean():.2f} ± {values.std(ddof=1):.2f}"


def test_one_seed_has_neither_deviation_nor_interval():
    comparison = comparison_of(BASELINE[:1], R_DROP[:1])
    assert cells(arm_table(comparison).text("github"))[0][4] == "90.00"
    assert cells(contrast_table(comparison).text("github"))[0][3] == "-"


def test_the_terminal_shows_the_same_numbers():
    comparison = comparison_of(BASELINE, R_DROP)
    numbers = [re.findall(r"\d+\.\d+", contrast_table(comparison).text(form)) for form in ("simple", "github")]
    assert numbers[0] == numbers[1] != []
