"""Numbers for the sentences of docs/results.md: each answer is computed from the records."""

from collections.abc import Mapping

from regdrop.reports.tables import NOTHING, mean_sd
from regdrop.studies.findings import verdict
from regdrop.studies.metrics import Metric, metric
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

    def have(self, *rows: str) -> bool:
        """Whether all these rows were run."""
        return all(row in self._found for row in rows)

    def score(self, row: str, column: str = R_DROP, key: str | None = None) -> str:
        """Mean ± standard deviation of a column in the row's own metric, or another."""
        shown = self._metric(row, key)
        return f"{mean_sd(shown, self._found[row].arms[column])} {shown.unit}".rstrip()

    def gain(self, row: str, column: str = R_DROP, reference: str | None = None, key: str | None = None) -> str:
        """A column minus the reference, or minus another column, with its interval."""
        shown = self._metric(row, key)
        return show_difference(shown, self._found[row].difference(column, reference, shown.key))

    def verdict(self, row: str, column: str = R_DROP, reference: str | None = None, key: str | None = None) -> str:
        """Which way that difference points: better, worse, unclear or not shown."""
        shown = self._metric(row, key)
        difference = self._found[row].difference(column, reference, shown.key)
        return verdict(shown, difference) if difference else NOTHING

    def which(self, outcome: str, column: str = R_DROP, reference: str | None = None) -> list[str]:
        """Titles of the rows where that difference has this verdict."""
        names = [row for row in self._found if self.verdict(row, column, reference) == outcome]
        return [self._rows[row].title for row in names]

    def alpha(self, row: str) -> str:
        """The alpha that the validation part chose."""
        return f"{self._found[row].arms[R_DROP].alpha:g}"

    def _metric(self, row: str, key: str | None) -> Metric:
        return metric(key) if key else self._rows[row].shown
