"""The tables of docs/results.md: scores, differences, calibration, time and memory, a line a row of the evidence."""

from collections.abc import Mapping

from regdrop.reports.page import Table
from regdrop.reports.tables import NOTHING, mean_sd
from regdrop.studies.findings import verdict
from regdrop.studies.metrics import PEAK_BYTES, SECONDS, Metric, metric
from regdrop.studies.result import ArmResult
from regdrop.studies.statistics import spread
from results.columns import BASELINE, CHEAP, COLUMNS, DROPOUT, LONG, NO_DROPOUT, R_DROP, SMOOTHING, WIDE, Columns
from results.numbers import show_difference
from results.rows import Row

Found = Mapping[str, tuple[Row, Columns]]
ERROR = metric("ece")
DECISIVE = ((R_DROP, None), (R_DROP, LONG), (LONG, None), (CHEAP, None))
OTHERS = ((R_DROP, WIDE), (WIDE, None), (NO_DROPOUT, None), (SMOOTHING, DROPOUT))


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
    return _differences(found, DECISIVE)


def other_table(found: Found) -> Table:
    """What the other columns gain."""
    return _differences(found, OTHERS)


def calibration_table(found: Found) -> Table:
    """Expected calibration error of the classifiers."""
    pairs = ((R_DROP, None), (R_DROP, LONG))
    rows = [
        (
            row.title,
            *(_cell(columns, name, ERROR) for name in COLUMNS),
            *(_judged(ERROR, columns, *pair) for pair in pairs),
        )
        for row, columns in found.values()
        if columns.arms[R_DROP].values(ERROR.key)
    ]
    heads = ("task", *COLUMNS, *map(_head, pairs))
    return Table(f"{ERROR.title} on the test part: |confidence - accuracy| over 15 bins", heads, tuple(rows))


def time_table(found: Found) -> Table:
    """Seconds of a run, and what the choice of alpha took."""
    rows = [
        (
            row.title,
            *(_cell(columns, name, SECONDS) for name in COLUMNS),
            SECONDS.show(_total(columns.tried) + _first(columns.arms[R_DROP])),
        )
        for row, columns in found.values()
    ]
    return Table("Seconds of a run", ("task", *COLUMNS, "choice of alpha"), tuple(rows))


def memory_table(found: Found) -> Table:
    """Peak memory of the process of a run."""
    rows = [
        (row.title, *(_mean(columns.arms.get(name), PEAK_BYTES) for name in COLUMNS)) for row, columns in found.values()
    ]
    return Table("Peak memory of a run's process (MB)", ("task", *COLUMNS), tuple(rows))


def _differences(found: Found, pairs: tuple[tuple[str, str | None], ...]) -> Table:
    rows = [(row.title, *(_judged(row.shown, columns, *pair) for pair in pairs)) for row, columns in found.values()]
    heads = ("task", *map(_head, pairs))
    return Table("Differences paired by seed, with 95 % intervals", heads, tuple(rows), align="left")


def _head(pair: tuple[str, str | None]) -> str:
    return f"{pair[0]} - {pair[1] or BASELINE}"


def _measure(row: Row) -> str:
    return f"{row.shown.title}, {row.seeds}"


def _cell(columns: Columns, name: str, shown: Metric) -> str:
    return mean_sd(shown, columns.arms[name]) if name in columns.arms else NOTHING


def _judged(shown: Metric, columns: Columns, one: str, other: str | None) -> str:
    difference = columns.difference(one, other, shown.key)
    return NOTHING if difference is None else f"{show_difference(shown, difference)}: {verdict(shown, difference)}"


def _mean(arm: ArmResult | None, shown: Metric) -> str:
    values = list(arm.values(shown.key).values()) if arm else []
    return shown.show(spread(values).mean) if values else NOTHING


def _first(arm: ArmResult) -> float:
    """Seconds of the run that took part in the choice of alpha."""
    return arm.values(SECONDS.key).get(0, 0.0)


def _total(arms: tuple[ArmResult, ...]) -> float:
    return sum(sum(arm.values(SECONDS.key).values()) for arm in arms)
