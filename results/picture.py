"""The picture of docs/results.md: what each way to spend the compute gained over dropout, row by row."""

from collections.abc import Mapping
from textwrap import fill

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from regdrop.reports.pictures.files import DPI
from regdrop.reports.pictures.palette import LINE, STYLE, colour
from regdrop.studies.statistics import PairedDifference
from results.columns import CHEAP, LONG, R_DROP, WIDE, Columns
from results.rows import Row

SHOWN = (R_DROP, CHEAP, LONG, WIDE)
MARKS = ("o", "s", "^", "D")
ACROSS = 3
TITLE_WIDTH = 34  # letters


def draw_gains(found: Mapping[str, tuple[Row, Columns]]) -> Figure:
    """One panel a row: paired differences to the baseline with 95 % intervals, better to the right."""
    down = -(-len(found) // ACROSS)
    with rc_context(STYLE):
        figure = Figure(figsize=(12, 2.1 * down + 0.5), dpi=DPI, layout="constrained")
        panels = figure.subplots(down, ACROSS, squeeze=False).flatten()
        for axes, (row, columns) in zip(panels, found.values(), strict=False):
            _draw_row(axes, row, columns)
        for axes in panels[len(found) :]:
            axes.set_axis_off()
    return figure


def _draw_row(axes: Axes, row: Row, columns: Columns) -> None:
    for place, name in enumerate(SHOWN):
        difference = columns.difference(name, None, row.metric)
        if difference is None:
            continue
        low, mean, high = (value * row.shown.scale for value in _ends(difference))
        axes.hlines(-place, low, high, color=colour(place), linewidth=2)
        axes.plot(mean, -place, MARKS[place], color=colour(place), markersize=7)
    axes.axvline(0, color=LINE, linewidth=1)
    axes.set_yticks([-place for place in range(len(SHOWN))], SHOWN)
    axes.set_ylim(-len(SHOWN) + 0.5, 0.5)
    axes.set_title(fill(row.title, TITLE_WIDTH), fontsize=10)
    better = "" if row.shown.higher_is_better else "\n(lower is better)"
    axes.set_xlabel(f"{' '.join((row.shown.name, row.shown.step)).rstrip()}, minus baseline{better}")
    if not row.shown.higher_is_better:
        axes.invert_xaxis()


def _ends(difference: PairedDifference) -> tuple[float, float, float]:
    """Low end, mean and high end."""
    low, mean, high = difference.low, difference.mean, difference.high
    return (mean, mean, mean) if low is None or high is None else (low, mean, high)
