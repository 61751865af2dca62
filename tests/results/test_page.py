"""docs/results.md says what its records say: every number is computed again, here by the shortest formula."""

import json
import math
import re
from pathlib import Path
from statistics import mean, stdev

import pytest
from results.page import PAGE, TEMPLATE, render
from results.rows import RECORDS, read_records, read_rows
from scipy import stats

import regdrop

LINES = [json.loads(line) for line in RECORDS.read_text().splitlines()]
RECORDED = {line["row"]: line["study"] for line in LINES}
RECIPES = Path(regdrop.__file__).parent / "recipes"
SCALES = {"accuracy": (100, 2), "pearson": (100, 2), "rougeL": (100, 2), "ece": (100, 2), "seconds": (1, 1)}
NAMES = {
    "no dropout": "no-dropout",
    "dropout": "baseline",
    "label smoothing": "label-smoothing",
    "2 x batch": "wide-batch",
    "2 x steps": "baseline-x2",
}


def arm_of(row, column):
    """The arm that a column of a row stands for, found by its name alone; None where there is none."""
    study = RECORDED[row]
    arms = {arm["name"]: arm for arm in study["arms"]}
    if column == "R-Drop":
        return arms[study["choice"]["arm"]]
    if column == "cheap R-Drop":
        return next(arm for name, arm in arms.items() if name.startswith("twins"))
    if "no-smoothing" in arms and column in ("dropout", "label smoothing"):
        return arms["no-smoothing" if column == "dropout" else "baseline"]
    return arms.get(NAMES[column])


def values_of(arm, key):
    return {one["seed"]: one["metrics"][key] for one in arm["outcomes"] if key in one["metrics"]}


def shown(value, key, sign=""):
    scale, digits = SCALES.get(key, (1, 2))
    return f"{value * scale:{sign}.{digits}f}"


def mean_sd(arm, key):
    values = list(values_of(arm, key).values()) if arm else []
    if not values:
        return "-"
    return shown(mean(values), key) + (f" ± {shown(stdev(values), key)}" if len(values) > 1 else "")


def difference(one, other, key):
    ours, theirs = values_of(one, key), values_of(other, key)
    found = [ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys())]
    half = stats.t.ppf(0.975, len(found) - 1) * stdev(found) / math.sqrt(len(found))
    center = mean(found)
    return f"{shown(center, key, '+')} ({shown(center - half, key, '+')} to {shown(center + half, key, '+')})"


def table(heading):
    """The first table below a heading: its column names, and the cells of each row by the row's title."""
    part = PAGE.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines() if line[:1] == "|"]
    return lines[0], {line[0]: line[1:] for line in lines[2:]}


@pytest.fixture(params=RECORDED)
def row(request):
    return read_rows()[request.param]


def test_every_row_was_run_with_its_settings():
    rows = read_rows()
    assert [(line["row"], line["settings"]) for line in LINES] == [(row.name, row.settings) for row in rows.values()]
    assert [line["study"]["recipe"] for line in LINES] == [row.recipe for row in rows.values()]


def test_every_row_is_on_the_page_and_has_its_seeds(row):
    assert row.title in table("Scores")[1]
    arms = {arm["name"]: len(arm["outcomes"]) for arm in RECORDED[row.name]["arms"]}
    assert sorted(arms.values(), reverse=True)[:5] == [row.seeds] * 5
    assert not [one for arm in RECORDED[row.name]["arms"] for one in arm["outcomes"] if one["failure"]]


def test_the_scores_are_those_of_the_runs(row):
    heads, lines = table("Scores")
    cells = lines[row.title]
    assert cells[1:-1] == [mean_sd(arm_of(row.name, column), row.metric) for column in heads[2:-1]]
    assert float(cells[-1]) == arm_of(row.name, "R-Drop")["alpha"]


def base_of(row):
    """The recipe without R-Drop: with label smoothing where the recipe has it."""
    return next(arm for arm in RECORDED[row]["arms"] if arm["name"] == "baseline")


def expected_difference(row, head, key):
    one, other = (arm_of(row, part) if part != "baseline" else base_of(row) for part in head.split(" - "))
    return "-" if one is None or other is None else difference(one, other, key)


@pytest.mark.parametrize("heading", ["Differences", "Other differences"])
def test_the_differences_and_intervals_are_those_of_the_runs(row, heading):
    heads, lines = table(heading)
    for head, cell in zip(heads[1:], lines[row.title], strict=True):
        assert cell.partition(": ")[0] == expected_difference(row.name, head, row.metric), head


@pytest.mark.parametrize("heading", ["Differences", "Other differences"])
def test_verdicts_agree_with_the_intervals(row, heading):
    for cell in table(heading)[1][row.title]:
        if cell == "-":
            continue
        low, high = map(float, re.search(r"\(([-+\d.]+) to ([-+\d.]+)\)", cell).groups())
        if cell.endswith("not shown"):
            assert low <= 0 <= high
        if cell.endswith(("better", "worse")):
            up = low > 0
            assert cell.endswith("better") == (up == (row.metric != "perplexity"))


def test_the_calibration_is_that_of_the_runs(row):
    heads, lines = table("Calibration")
    if "ece" not in arm_of(row.name, "dropout")["outcomes"][0]["metrics"]:
        assert row.title not in lines
        return
    for head, cell in zip(heads[1:], lines[row.title], strict=True):
        if " - " in head:
            assert cell.partition(": ")[0] == expected_difference(row.name, head, "ece"), head
        else:
            assert cell == mean_sd(arm_of(row.name, head), "ece"), head


def test_the_seconds_are_those_of_the_runs(row):
    heads, lines = table("Time")
    trials = [arm for arm in RECORDED[row.name]["arms"] if arm["name"].startswith("alpha-")]
    expected = [mean_sd(arm_of(row.name, column), "seconds") for column in heads[1:-1]]
    choice = shown(sum(values_of(arm, "seconds")[0] for arm in trials), "seconds")
    assert lines[row.title] == [*expected, choice]


def test_the_memory_is_that_of_the_runs(row):
    heads, lines = table("Memory")
    for column, cell in zip(heads[1:], lines[row.title], strict=True):
        arm = arm_of(row.name, column)
        assert cell == ("-" if arm is None else f"{mean(values_of(arm, 'peak_bytes').values()) / 1e6:.0f}"), column


def test_the_hours_are_those_of_all_runs():
    outcomes = [one for study in RECORDED.values() for arm in study["arms"] for one in arm["outcomes"]]
    hours = sum(one["metrics"]["seconds"] for one in outcomes) / 3600
    assert f": {hours:.1f} hours of runs in all" in " ".join(PAGE.read_text().split())


def test_the_page_is_made_of_the_records_and_its_sentences_hold_no_number_of_their_own():
    assert PAGE.read_text() == render(read_records()), "run: python -m results.evidence --page"
    template = re.sub(r"\{\{.*?\}\}|\{%.*?%\}", "", TEMPLATE.read_text(), flags=re.DOTALL)
    assert set(re.findall(r"\d+\.\d+", template)) <= {"0.3", "1.25"}


@pytest.mark.parametrize(
    ("start", "heading", "column", "outcomes"),
    [
        ("Where R-Drop shows an effect", "Differences", "R-Drop - baseline", ["better", "worse"]),
        ("Where it shows none:", "Differences", "R-Drop - baseline", ["not shown"]),
        ("At equal compute, against twice the steps", "Differences", "R-Drop - 2 x steps", ["better", "worse"]),
        ("When to spend the second pass", "Differences", "2 x steps - baseline", ["better"]),
        ("At equal compute, against twice the batch", "Other differences", "R-Drop - 2 x batch", ["better", "worse"]),
        ("Cheap R-Drop", "Differences", "cheap R-Drop - baseline", ["better", "worse"]),
        ("Dropout.", "Other differences", "no dropout - baseline", ["better", "worse"]),
        ("Calibration error", "Calibration", "R-Drop - baseline", ["better", "worse"]),
        ("Calibration error", "Calibration", "R-Drop - 2 x steps", ["better", "worse"]),
    ],
)
def test_the_sentences_name_the_rows_that_the_tables_judge_so(start, heading, column, outcomes):
    sentence = " ".join(PAGE.read_text().partition(f"- **{start}")[2].partition("\n- ")[0].split()).lower()
    heads, lines = table(heading)
    for outcome in outcomes:
        named = []
        for title, cells in lines.items():
            size, _, judged = cells[heads.index(column) - 1].rpartition(": ")
            if judged == outcome:
                named.append(f"{title} ({size.split()[0]} {unit_of(title, heading)})")
        listed = f"{'; '.join(named) or 'none'}".lower()
        assert listed in sentence
        assert any(f"{words} {listed}" in sentence for words in (f"{outcome}:", "on:", "**"))


def unit_of(title, heading):
    row = next(row for row in read_rows().values() if row.title == title)
    return "points" if heading == "Calibration" else row.shown.step or row.shown.name


@pytest.mark.parametrize("name", ["fashion_cnn", "sst2", "stsb", "rte", "shakespeare", "multi30k", "debian"])
def test_the_recipes_headers_quote_the_runs(name):
    if name not in RECORDED:
        pytest.skip(f"no record of {name} yet")
    row = read_rows()[name]
    lines = (RECIPES / f"{row.recipe}.yaml").read_text().splitlines()
    header = " ".join(line.removeprefix("#").strip() for line in lines if line.startswith("#"))
    for arm in (arm_of(name, "R-Drop"), base_of(name)):
        assert mean_sd(arm, row.metric) in header
    assert f'{row.seeds} seeds, row "{row.title}" of docs/results.md' in header


def test_the_sentences_without_a_list_claim_what_the_runs_say():
    sentence = PAGE.read_text().partition("**The fewer images, the larger the mean gain**")[2].partition("\n- ")[0]
    cells = [table("Differences")[1][read_rows()[row].title][0] for row in ("fashion_1k", "fashion_5k", "fashion_all")]
    assert re.findall(r"[-+\d.]+ \([-+\d.]+ to [-+\d.]+\)", sentence) == [cell.partition(": ")[0] for cell in cells]
    gains = [
        mean(values_of(arm_of(row, "R-Drop"), "accuracy").values())
        - mean(values_of(arm_of(row, "dropout"), "accuracy").values())
        for row in ("fashion_1k", "fashion_5k", "fashion_all")
    ]
    assert gains == sorted(gains, reverse=True)
