"""Tables of a study: its arms, and the paired differences between them."""

from collections.abc import Mapping

from regdrop.reports.page import Table
from regdrop.studies.metrics import Metric, metric
from regdrop.studies.result import ArmResult, Contrast, StudyResult
from regdrop.studies.statistics import spread

NOTHING = "-"


def arm_table(study: StudyResult) -> Table:
    """One row an arm: every test metric and what training cost as mean ± sample standard deviation over seeds.

    Where the validation part chooses an arm, the metric it chooses by stands in front. Compute is what the arm's passes
    come to beside the recipe's run without R-Drop.
    """
    shown = [metric(key) for key in study.metrics]
    chosen_by = [metric(study.choice.metric)] if study.choice else []
    rows = tuple(
        (
            *(arm.label, str(arm.steps), f"{arm.compute:.3g}", _seeds(arm)),
            *(_mean_sd(column, arm.validation(column.key)) for column in chosen_by),
            *(mean_sd(column, arm) for column in shown),
        )
        for arm in study.arms
    )
    titles = (*(f"validation {column.title}" for column in chosen_by), *(column.title for column in shown))
    heads = ("arm", "steps", "compute", "seeds", *titles)
    return Table("Mean ± sample standard deviation over seeds, test part", heads, rows)


def contrast_table(study: StudyResult) -> Table:
    """One row a contrast: the paired difference of each test metric with its 95 % interval and sign-flip p-value."""
    rows = tuple((versus(study, contrast), *_difference(contrast)) for contrast in study.contrasts)
    heads = ("difference", "metric", "mean", "95 % interval", "p", "seeds")
    return Table("Differences between arms, paired by seed", heads, rows)


def grid_table(study: StudyResult, key: str) -> Table:
    """Means of one metric over a grid of two factors: the first goes down, the second across."""
    shown, (down, across) = metric(key), study.factors
    cells = {arm.point: mean_sd(shown, arm) for arm in study.arms}
    columns = sorted({point[1] for point in cells if len(point) == 2})
    rows = tuple(
        (f"{first:g}", *(cells.get((first, second), NOTHING) for second in columns))
        for first in sorted({point[0] for point in cells if len(point) == 2})
    )
    return Table(f"{shown.title}: {down} down, {across} across", (down, *(f"{value:g}" for value in columns)), rows)


def mean_sd(column: Metric, arm: ArmResult) -> str:
    """Mean ± standard deviation of an arm, or the mean alone of one seed."""
    return _mean_sd(column, arm.values(column.key))


def _mean_sd(column: Metric, values: Mapping[int, float]) -> str:
    if not values:
        return NOTHING
    center = spread(list(values.values()))
    return column.show(center.mean) + ("" if center.sd is None else f" ± {column.show(center.sd)}")


def interval(contrast: Contrast) -> str:
    """The 95 % interval of a contrast as people read it; a dash where there is none."""
    column, found = metric(contrast.metric), contrast.difference
    if found.low is None or found.high is None:
        return NOTHING
    return f"{column.show(found.low, '+')} to {column.show(found.high, '+')}"


def versus(study: StudyResult, contrast: Contrast) -> str:
    """Which arm minus which."""
    return f"{study.arm(contrast.treatment).label} - {study.arm(contrast.reference).label}"


def _difference(contrast: Contrast) -> tuple[str, ...]:
    column, found = metric(contrast.metric), contrast.difference
    unit = f"{column.name} ({column.step})" if column.step else column.name
    return unit, column.show(found.mean, "+"), interval(contrast), f"{found.p_value:.2g}", str(len(found.seeds))


def _seeds(arm: ArmResult) -> str:
    failed = len(arm.outcomes) - len(arm.finished)
    return f"{len(arm.finished)} ({failed} failed)" if failed else str(len(arm.finished))
