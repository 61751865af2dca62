"""The tables of docs/results.md: scores, differences, calibration and cost, one line a row of the evidence."""

from collections.abc import Mapping

from regdrop.reports.page import Table
from regdrop.reports.tables import NOTHING, mean_sd
from regdrop.studies.findings import verdict
from regdrop.studies.metrics import PEAK_BYTES, SECONDS, Metric, metric
from regdrop.studies.result import ArmResult
from regdrop.studies.statistics import spread
from results.columns import CHEAP, COLUMNS, DROPOUT, LONG, R_DROP, SMOOTHING, WIDE, Columns
from results.numbers import show_difference
from results.rows import Row

Found = Mapping[str, tuple[Row, Columns]]
ERROR = metric("ece")
PAIRS = ((R_DROP, None), (R_DROP, LONG), (LONG, None), (CHEAP, None))


def score_table(found: Found) -> Table:
    """Every column's score on the test part."""
    rows = [
        (
            row.title,
            _measure(row),
            *(_cell(columns, name, row.shown) for name in COLUMNS),
            f"{columns.arms[R_DROP].alpha:g}",
        )
        for row, columns in found.values()
    ]
    return Table(
        "Test score, mean ± standard deviation over seeds", ("task", "score, seeds", *COLUMNS, "alpha"), tuple(rows)
    )


def difference_table(found: Found) -> Table:
    """The differences that a decision hangs on, each with its interval and verdict."""
    heads = ("task", *(f"{one} - {other or DROPOUT}" for one, other in PAIRS))
    rows = [(row.title, *(_judged(row.shown, columns, *pair) for pair in PAIRS)) for row, columns in found.values()]
    return Table("Differences paired by seed, with 95 % intervals", heads, tuple(rows), align="left")


def calibration_table(found: Found) -> Table:
    """Expected calibration error of the classifiers."""
    shown = (DROPOUT, SMOOTHING, LONG, R_DROP)
    rows = [
        (row.title, *(_cell(columns, name, ERROR) for name in shown), _judged(ERROR, columns, R_DROP, None))
        for row, columns in found.values()
        if columns.arms[R_DROP].values(ERROR.key)
    ]
    heads = ("task", *shown, f"{R_DROP} - {DROPOUT}")
    return Table(f"{ERROR.title} on the test part: |confidence - accuracy| over 15 bins", heads, tuple(rows))


def cost_table(found: Found) -> Table:
    """Seconds and memory of a run, and what the choice of alpha took."""
    shown = (DROPOUT, WIDE, LONG, R_DROP, CHEAP)
    memory = (DROPOUT, R_DROP, CHEAP)
    rows = [
        (
            row.title,
            *(_cell(columns, name, SECONDS) for name in shown),
            SECONDS.show(_total(columns.tried) + _first(columns.arms[R_DROP])),
            *(_mean(columns.arms[name], PEAK_BYTES) for name in memory),
        )
        for row, columns in found.values()
    ]
    heads = ("task", *(f"{name} (s)" for name in shown), "choice of alpha (s)", *(f"{name} (MB)" for name in memory))
    return Table("Training time and peak memory of the process, a run", heads, tuple(rows))


def _measure(row: Row) -> str:
    return f"{row.shown.title}, {row.seeds}"


def _cell(columns: Columns, name: str, shown: Metric) -> str:
    return mean_sd(shown, columns.arms[name]) if name in columns.arms else NOTHING


def _judged(shown: Metric, columns: Columns, one: str, other: str | None) -> str:
    difference = columns.difference(one, other, shown.key)
    return NOTHING if difference is None else f"{show_difference(shown, difference)}: {verdict(shown, difference)}"


def _mean(arm: ArmResult, shown: Metric) -> str:
    values = list(arm.values(shown.key).values())
    return shown.show(spread(values).mean) if values else NOTHING


def _first(arm: ArmResult) -> float:
    """Seconds of the run that took part in the choice of alpha."""
    return arm.values(SECONDS.key).get(0, 0.0)


def _total(arms: tuple[ArmResult, ...]) -> float:
    return sum(sum(arm.values(SECONDS.key).values()) for arm in arms)
