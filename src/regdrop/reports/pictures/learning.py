"""Learning curves of several arms over seeds, against steps and against seconds."""

from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from regdrop.reports.curves import (
    KL,
    LEARNING_RATE,
    TASK_LOSS,
    ArmRecords,
    Clock,
    Curve,
    Quantity,
    band,
    evenly,
    validation,
)
from regdrop.reports.pictures.files import DPI
from regdrop.reports.pictures.palette import STYLE, colour, dash
from regdrop.studies.findings import count_seeds
from regdrop.studies.metrics import metric_order

LEGEND_COLUMNS = 4
FEW_POINTS = 12
MOST_POINTS = 200
CLOCKS: dict[Clock, str] = {"step": "optimiser steps", "seconds": "training time (s)"}


def learning_curves(arms: Sequence[ArmRecords], title: str) -> Figure:
    """Draw validation metrics, task loss and KL against steps (top) and seconds (bottom).

    Thin lines are seeds, thick lines their mean, bands one standard deviation. The task loss is that of one pass, so
    arms of one and of two passes share a scale; task loss and KL are running means over 1/25 of a run.

    Args:
        arms: at least one of them with a run; the place of an arm in the sequence is its colour.
        title: headline over the picture.
    """
    quantities = quantities_of(arms)
    with rc_context(STYLE):
        figure = Figure(
            figsize=(3.9 * len(quantities), 7.2), dpi=DPI, layout=ConstrainedLayoutEngine(wspace=0.03, hspace=0.05)
        )
        grid = figure.subplots(len(CLOCKS), len(quantities), sharex="row", sharey="col", squeeze=False)
        for row, clock in zip(grid, CLOCKS, strict=True):
            for axes, quantity in zip(row, quantities, strict=True):
                draw_panel(axes, quantity, arms, clock)
        for axes, quantity in zip(grid[0], quantities, strict=True):
            axes.set_title(quantity.title)
        _draw_heading(figure, arms, title)
    return figure


def run_curves(arm: ArmRecords, title: str) -> Figure:
    """Draw one run against its steps: validation metrics, task loss of a pass, KL where there is one, learning rate.

    Task loss and KL are running means over 1/25 of the run.

    Args:
        arm: with the records of one run.
        title: headline over the picture.
    """
    quantities = [quantity for quantity in [*quantities_of([arm]), LEARNING_RATE] if quantity.curves(arm, "step")]
    with rc_context(STYLE):
        figure = Figure(figsize=(3.4 * len(quantities), 3.4), dpi=DPI, layout=ConstrainedLayoutEngine(wspace=0.03))
        for axes, quantity in zip(figure.subplots(1, len(quantities), squeeze=False)[0], quantities, strict=True):
            curve = quantity.curves(arm, "step")[0]
            axes.plot(curve.times, curve.values, color=colour(0), linewidth=1.8, marker=_marker(curve))
            axes.set_title(quantity.title)
            _describe(axes, quantity, "step")
        figure.suptitle(title, size=13, weight="bold", x=0.01, ha="left")
    return figure


def quantities_of(arms: Sequence[ArmRecords]) -> list[Quantity]:
    """Every metric of the evaluations, then what training itself measures."""
    evaluations = (record for arm in arms for run in arm.runs for record in run.evaluations)
    return [*map(validation, metric_order(key for record in evaluations for key in record.metrics)), TASK_LOSS, KL]


def draw_panel(axes: Axes, quantity: Quantity, arms: Sequence[ArmRecords], clock: Clock) -> None:
    """Draw one quantity of all arms against one clock: thin lines are seeds, thick ones means, bands ± 1 sd.

    Args:
        axes: to draw on.
        quantity: what.
        arms: at least one of them with a run; their places are their colours.
        clock: the horizontal axis.
    """
    for index, arm in enumerate(arms):
        _draw_arm(axes, quantity, arm, clock, index)
    _describe(axes, quantity, clock)


def _marker(curve: Curve) -> str:
    """A dot on every point where they are few, as evaluations are."""
    return "o" if len(curve.steps) <= FEW_POINTS else ""


def _describe(axes: Axes, quantity: Quantity, clock: Clock) -> None:
    """Labels and scales, once the lines are drawn."""
    axes.set_xlabel(CLOCKS[clock])
    axes.set_ylabel(quantity.axis)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlim(left=0)
    if quantity.logarithmic:
        _make_logarithmic(axes)


def _make_logarithmic(axes: Axes) -> None:
    """A logarithmic axis with plain numbers, down to the lowest line: a band may reach below 0."""
    values = np.concatenate([line.get_ydata() for line in axes.get_lines()])
    positive = values[np.isfinite(values) & (values > 0)]
    if not len(positive):
        return
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.9 * positive.min())
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _draw_arm(axes: Axes, quantity: Quantity, arm: ArmRecords, clock: Clock, index: int) -> None:
    curves = quantity.curves(arm, clock)
    if not curves:
        return
    shade = colour(index)
    for curve in curves:
        seen = evenly(len(curve.steps), MOST_POINTS)
        axes.plot(curve.times[seen], curve.values[seen], color=shade, linewidth=0.6, alpha=0.45, zorder=2)
    mean, sd = band(curves)
    seen = evenly(len(mean.steps), MOST_POINTS)
    times, values, sd = mean.times[seen], mean.values[seen], sd[seen]
    axes.fill_between(times, values - sd, values + sd, color=shade, alpha=0.15, linewidth=0, zorder=1)
    axes.plot(times, values, color=shade, linestyle=dash(index), linewidth=2.2, zorder=3, label=arm.label)


def _draw_heading(figure: Figure, arms: Sequence[ArmRecords], title: str) -> None:
    """Title and legend in one, above the panels, so that neither can cover data."""
    handles = [Line2D([], [], color=colour(i), linestyle=dash(i), linewidth=2.2) for i in range(len(arms))]
    figure.legend(
        handles,
        [f"{arm.label}, {count_seeds(len(arm.runs))}" for arm in arms],
        title=title,
        title_fontproperties={"size": 15, "weight": "bold"},
        alignment="left",
        loc="outside upper left",
        ncols=min(len(arms), LEGEND_COLUMNS),
        fontsize=11,
    )
