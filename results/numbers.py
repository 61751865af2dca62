"""Numbers for the sentences of docs/results.md: each answer is computed from the records."""

from collections.abc import Callable, Mapping
from pathlib import Path

from regdrop.reports.tables import NOTHING
from regdrop.studies.findings import verdict
from regdrop.studies.metrics import SECONDS, Metric, metric
from regdrop.studies.statistics import PairedDifference
from results.columns import R_DROP, Columns
from results.rows import Row


def show_difference(shown: Metric, difference: PairedDifference | None) -> str:
    """Mean of a paired difference, and its 95 % interval where there is one."""
    if difference is None:
        return NOTHING
    mean = shown.show(difference.mean, "+")
    if difference.low is None or difference.high is None:
        return mean
    return f"{mean} ({shown.show(difference.low, '+')} to {shown.show(difference.high, '+')})"


class Numbers:
    """What the template may ask for, by the name of a row and the heading of a column."""

    def __init__(self, rows: Mapping[str, Row], found: Mapping[str, Columns]) -> None:
        self._rows, self._found = rows, found

    def gain(self, row: str, column: str = R_DROP, reference: str | None = None, key: str | None = None) -> str:
        """A column minus the reference, or minus another column, with its interval."""
        shown = self._metric(row, key)
        return show_difference(shown, self._found[row].difference(column, reference, shown.key))

    def named(self, outcome: str, column: str = R_DROP, reference: str | None = None, key: str | None = None) -> str:
        """The rows where such a difference has this verdict, each with its mean, as a list within a sentence."""
        named = []
        for row, columns in self._found.items():
            shown = self._metric(row, key)
            difference = columns.difference(column, reference, shown.key)
            if difference and verdict(shown, difference) == outcome:
                size = f"{shown.show(difference.mean, '+')} {shown.step or shown.name}"
                named.append(f"{self._rows[row].title} ({size})")
        return "; ".join(named) or "none"

    def alphas(self) -> str:
        """The alphas that the validation parts chose, and for which rows."""
        return self._grouped(lambda row: f"{self._found[row].arms[R_DROP].alpha:g}")

    def rates(self) -> str:
        """The rates of dropout, and which rows train with each."""
        return self._grouped(lambda row: f"{self._rows[row].load(Path()).model.dropout:g}")

    def hours(self) -> str:
        """What all runs of all rows took together."""
        arms = [arm for columns in self._found.values() for arm in (*columns.every, *columns.tried)]
        return f"{sum(sum(arm.values(SECONDS.key).values()) for arm in arms) / 3600:.1f}"

    def _grouped(self, value: Callable[[str], str]) -> str:
        groups: dict[str, list[str]] = {}
        for row in self._found:
            groups.setdefault(value(row), []).append(self._rows[row].title)
        return ". ".join(f"{one}: {'; '.join(groups[one])}" for one in sorted(groups, key=float))

    def _metric(self, row: str, key: str | None) -> Metric:
        return metric(key) if key else self._rows[row].shown
