"""Learning curves of several arms over seeds, against steps and against seconds."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from PIL import Image

from regdrop.checkpoints.atomic import atomic_path
from regdrop.reports.curves import KL, LEARNING_RATE, TASK_LOSS, ArmRecords, Clock, Curve, Quantity, band, validation
from regdrop.studies.findings import count_seeds
from regdrop.studies.metrics import metric_order

DPI = 160
FEW_POINTS = 12
# Okabe-Ito colours, told apart by every kind of colour vision; the dashes tell them apart in grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ((0, (4, 1)), "-", (0, (1.2, 0.8)), (0, (4, 1, 1, 1)), (0, (8, 1)), (0, (2, 2)))
CLOCKS: dict[Clock, str] = {"step": "optimiser steps", "seconds": "training time (s)"}
STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#777777",
    "axes.labelcolor": "#333333",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E8E8E8",
    "xtick.color": "#555555",
    "ytick.color": "#555555",
}


def learning_curves(arms: Sequence[ArmRecords], title: str) -> Figure:
    """Draw validation metrics, task loss and KL against steps (top) and seconds (bottom).

    Thin lines are seeds, thick lines their mean, bands one standard deviation. The task loss is that of one pass, so
    arms of one and of two passes share a scale; task loss and KL are running means over 1/25 of a run.

    Args:
        arms: at least one arm with at least one run; its place in the sequence is its colour.
        title: headline over the picture.
    """
    quantities = _quantities(arms)
    with rc_context(STYLE):
        figure = Figure(
            figsize=(3.9 * len(quantities), 7.2), dpi=DPI, layout=ConstrainedLayoutEngine(wspace=0.03, hspace=0.05)
        )
        grid = figure.subplots(len(CLOCKS), len(quantities), sharex="row", sharey="col", squeeze=False)
        for row, clock in zip(grid, CLOCKS, strict=True):
            for axes, quantity in zip(row, quantities, strict=True):
                _draw_panel(axes, quantity, arms, clock)
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
    quantities = [quantity for quantity in [*_quantities([arm]), LEARNING_RATE] if quantity.curves(arm, "step")]
    with rc_context(STYLE):
        figure = Figure(figsize=(3.4 * len(quantities), 3.4), dpi=DPI, layout=ConstrainedLayoutEngine(wspace=0.03))
        for axes, quantity in zip(figure.subplots(1, len(quantities), squeeze=False)[0], quantities, strict=True):
            curve = quantity.curves(arm, "step")[0]
            axes.plot(curve.times, curve.values, color=COLOURS[0], linewidth=1.8, marker=_marker(curve))
            axes.set_title(quantity.title)
            _describe(axes, quantity, "step")
        figure.suptitle(title, size=13, weight="bold", x=0.01, ha="left")
    return figure


def save_picture(figure: Figure, path: Path) -> None:
    """Write the figure as a PNG of 160 dots an inch, whole or not at all.

    A palette of 256 colours, more than the pictures have hues, makes the file a third as large.
    """
    drawn = BytesIO()
    figure.savefig(drawn, dpi=DPI, facecolor="white")
    with atomic_path(path) as beside, Image.open(drawn) as picture:
        picture.convert("RGB").quantize(256).save(beside, dpi=(DPI, DPI), optimize=True)


def _quantities(arms: Sequence[ArmRecords]) -> list[Quantity]:
    """Every metric of the evaluations, then what training itself measures."""
    evaluations = (record for arm in arms for run in arm.runs for record in run.evaluations)
    return [*map(validation, metric_order(key for record in evaluations for key in record.metrics)), TASK_LOSS, KL]


def _draw_panel(axes: Axes, quantity: Quantity, arms: Sequence[ArmRecords], clock: Clock) -> None:
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
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.9 * values[values > 0].min())
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _draw_arm(axes: Axes, quantity: Quantity, arm: ArmRecords, clock: Clock, index: int) -> None:
    curves = quantity.curves(arm, clock)
    if not curves:
        return
    colour, dash = COLOURS[index % len(COLOURS)], DASHES[index % len(DASHES)]
    for curve in curves:
        axes.plot(curve.times, curve.values, color=colour, linewidth=0.6, alpha=0.45, zorder=2)
    mean, sd = band(curves)
    axes.fill_between(mean.times, mean.values - sd, mean.values + sd, color=colour, alpha=0.15, linewidth=0, zorder=1)
    axes.plot(mean.times, mean.values, color=colour, linestyle=dash, linewidth=2.2, zorder=3, label=arm.label)


def _draw_heading(figure: Figure, arms: Sequence[ArmRecords], title: str) -> None:
    """Title and legend in one, above the panels, so that neither can cover data."""
    handles = [
        Line2D([], [], color=COLOURS[index % len(COLOURS)], linestyle=DASHES[index % len(DASHES)], linewidth=2.2)
        for index in range(len(arms))
    ]
    figure.legend(
        [*handles, Line2D([], [], linewidth=0)],
        [
            *(f"{arm.label}, {count_seeds(len(arm.runs))}" for arm in arms),
            "thin: one seed; thick: mean; band: ± 1 sd of seeds",
        ],
        title=title,
        title_fontproperties={"size": 15, "weight": "bold"},
        alignment="left",
        loc="outside upper left",
        ncols=len(arms) + 1,
        frameon=False,
        fontsize=11,
    )
