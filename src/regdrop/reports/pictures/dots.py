"""One dot a seed: what every run came to, joined where the same seed was run in several arms."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from regdrop.reports.pictures.palette import LINE, colour
from regdrop.studies.metrics import Metric

MOST_LABEL = 24


def draw_dots(axes: Axes, metric: Metric, arms: Sequence[tuple[str, Mapping[int, float]]]) -> None:
    """Draw a column of dots an arm; grey lines join the runs of one seed, a bar is the mean of a column.

    Args:
        axes: to draw on.
        metric: names and scales the vertical axis.
        arms: label, and seed -> stored value; empty where every run failed.
    """
    for seed in sorted({seed for _, values in arms for seed in values}):
        places = [place for place, (_, values) in enumerate(arms) if seed in values]
        axes.plot(
            places, [arms[place][1][seed] * metric.scale for place in places], color=LINE, linewidth=0.7, zorder=1
        )
    for place, (_, values) in enumerate(arms):
        if values:
            _draw_column(axes, place, np.array(list(values.values())) * metric.scale)
    axes.set_xticks(range(len(arms)), [_short(label) for label, _ in arms], **_slant(arms))
    axes.set_xlim(-0.5, len(arms) - 0.5)
    axes.set_ylabel(metric.title)
    axes.grid(visible=False, axis="x")


def _draw_column(axes: Axes, place: int, values: np.ndarray) -> None:
    axes.scatter(np.full(len(values), place), values, s=26, color=colour(place), zorder=3)
    axes.hlines(values.mean(), place - 0.25, place + 0.25, color=colour(place), linewidth=2.4, zorder=2)


def _short(label: str) -> str:
    return label if len(label) <= MOST_LABEL else f"{label[: MOST_LABEL - 1]}…"


def _slant(arms: Sequence[tuple[str, Mapping[int, float]]]) -> dict[str, Any]:
    """Labels lie aslant where they would run into each other."""
    room = 36 / max(1, len(arms))
    crowded = any(len(_short(label)) > room for label, _ in arms)
    return {"rotation": 25, "ha": "right", "rotation_mode": "anchor"} if crowded else {}
