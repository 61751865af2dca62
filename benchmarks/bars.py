"""A picture of what a step costs: one panel a model, a bar of time and a dot of memory for each way."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from regdrop.checkpoints.atomic import atomic_path
from regdrop.studies.cost.costs import Cost

COLUMNS = 2
TIME, MEMORY = "#0072B2", "#D55E00"


def draw(path: Path, found: Mapping[str, Sequence[Cost]]) -> None:
    """Write the picture; times and memories are multiples of the plain step's.

    Args:
        path: of the PNG.
        found: costs by the title of their model, plain first.
    """
    from matplotlib.figure import Figure

    lines = -(-len(found) // COLUMNS)
    figure = Figure(figsize=(11, 2.6 * lines), layout="constrained")
    panels = figure.subplots(lines, COLUMNS, squeeze=False, sharex=True).flatten()
    for axes, (title, costs) in zip(panels, found.items(), strict=False):
        places = range(len(costs))
        times = [cost.time_over(costs[0]) or 0.0 for cost in costs]
        axes.barh(places, times, color=TIME, height=0.65, label="time")
        dots = [(cost.memory_over(costs[0]), place) for place, cost in enumerate(costs) if cost.extra_bytes]
        if dots:
            axes.scatter(*zip(*dots, strict=True), color=MEMORY, zorder=3, label="peak memory")
        axes.axvline(1.0, color="#777777", linewidth=0.8)
        axes.set_yticks(places, [cost.way for cost in costs])
        axes.invert_yaxis()
        axes.set_title(title, fontsize=9, loc="left")
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    for axes in panels[len(found) :]:
        axes.remove()
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=2, frameon=False, fontsize=8)
    figure.supxlabel("multiples of the plain step of the same model", fontsize=9)
    with atomic_path(path) as beside:
        figure.savefig(beside, dpi=110, format="png")
