"""Tables of a comparison, as plain text or Markdown."""

from typing import Literal

from tabulate import tabulate

from regdrop.studies.comparison import ArmResult, Comparison, Contrast
from regdrop.studies.metrics import Metric, metric
from regdrop.studies.statistics import spread

Format = Literal["simple", "github"]
NOTHING = "-"


def arm_table(comparison: Comparison, form: Format) -> str:
    """One row an arm: every test metric and the training time as mean ± sample standard deviation over seeds.

    Args:
        comparison: what to show.
        form: `simple` for a terminal, `github` for Markdown.
    """
    shown = [metric(key) for key in comparison.metrics]
    rows = [
        [arm.label, str(arm.steps), str(arm.passes), _seeds(arm), *(_mean_sd(column, arm) for column in shown)]
        for arm in comparison.arms
    ]
    heads = ["arm", "steps", "passes a step", "seeds", *(column.title for column in shown)]
    return _table(heads, rows, form)


def contrast_table(comparison: Comparison, form: Format) -> str:
    """One row a contrast: the paired difference of each test metric with its 95 % interval and sign-flip p-value."""
    rows = [
        [f"{_label(comparison, contrast.treatment)} - {_label(comparison, contrast.reference)}", *_difference(contrast)]
        for contrast in comparison.contrasts
    ]
    return _table(["difference", "metric", "mean", "95 % interval", "p", "seeds"], rows, form)


def _mean_sd(column: Metric, arm: ArmResult) -> str:
    values = list(arm.values(column.key).values())
    if not values:
        return NOTHING
    center = spread(values)
    return column.show(center.mean) + ("" if center.sd is None else f" ± {column.show(center.sd)}")


def _difference(contrast: Contrast) -> list[str]:
    column, found = metric(contrast.metric), contrast.difference
    interval = NOTHING
    if found.low is not None and found.high is not None:
        interval = f"{column.show(found.low, '+')} to {column.show(found.high, '+')}"
    unit = f"{column.name} ({column.step})" if column.step else column.name
    return [unit, column.show(found.mean, "+"), interval, f"{found.p_value:.2g}", str(len(found.seeds))]


def _seeds(arm: ArmResult) -> str:
    failed = len(arm.outcomes) - len(arm.finished)
    return f"{len(arm.finished)} ({failed} failed)" if failed else str(len(arm.finished))


def _label(comparison: Comparison, name: str) -> str:
    return next(arm.label for arm in comparison.arms if arm.name == name)


def _table(heads: list[str], rows: list[list[str]], form: Format) -> str:
    align = ["left", *["right"] * (len(heads) - 1)]
    return str(tabulate(rows, heads, tablefmt=form, disable_numparse=True, colalign=align))
