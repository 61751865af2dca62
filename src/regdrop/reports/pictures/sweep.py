"""One metric against the factor that a study varies."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from regdrop.reports.pictures.palette import colour
from regdrop.studies.metrics import Metric

WIDE = 20  # a factor whose largest value is so many times its smallest goes on a logarithmic axis


def draw_sweep(axes: Axes, metric: Metric, factor: str, points: Sequence[tuple[float, Mapping[int, float]]]) -> None:
    """Draw dots for the seeds and a line through their means with a band of one standard deviation.

    Args:
        axes: to draw on.
        metric: names and scales the vertical axis.
        factor: names the horizontal axis.
        points: value of the factor, and seed -> stored value; points without a finished run are left out.
    """
    finished = [(at, np.array(list(values.values())) * metric.scale) for at, values in points if values]
    ordered = sorted(finished, key=lambda point: point[0])
    places = [at for at, _ in ordered]
    means = np.array([values.mean() for _, values in ordered])
    sds = np.array([values.std(ddof=1) if len(values) > 1 else 0.0 for _, values in ordered])
    for at, values in ordered:
        axes.scatter(np.full(len(values), at), values, s=14, color=colour(0), alpha=0.55, zorder=2)
    axes.fill_between(places, means - sds, means + sds, color=colour(0), alpha=0.15, linewidth=0, zorder=1)
    axes.plot(places, means, color=colour(0), linewidth=2.2, marker="o", zorder=3)
    _scale(axes, places)
    axes.set(xlabel=factor, ylabel=metric.title)


def _scale(axes: Axes, places: Sequence[float]) -> None:
    """Ticks where the arms are; logarithmic where they spread over orders of magnitude, linear around 0."""
    positive = [at for at in places if at > 0]
    if positive and max(positive) > WIDE * min(positive):
        axes.set_xscale("symlog", linthresh=min(positive), linscale=0.5)
    axes.xaxis.set_major_locator(FixedLocator(places))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
