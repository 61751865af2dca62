"""The reliability of a model: how often it is right where it says that it is so sure."""

from matplotlib.axes import Axes

from regdrop.diagnostics.calibration import Calibration
from regdrop.reports.pictures.palette import LINE, MUTED, colour


def draw_reliability(axes: Axes, calibration: Calibration, place: int = 0) -> None:
    """Draw the accuracy of every bin of confidence as a bar; a dot marks the bin's mean confidence.

    Bars on the diagonal are calibrated; the further a bar ends below its dot, the more the model overrates itself. The
    stronger its colour, the more items it holds.

    Args:
        axes: to draw on.
        calibration: the stored bins; empty ones are left out.
        place: of the model among those drawn; it decides the colour.
    """
    most = max(part.items for part in calibration.bins)
    axes.plot([0, 1], [0, 1], color=LINE, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    for part in calibration.bins:
        if part.confidence is None or part.accuracy is None:
            continue
        width = part.high - part.low
        strength = 0.25 + 0.65 * (part.items / most) ** 0.5
        axes.bar(part.low, part.accuracy, width * 0.94, align="edge", color=colour(place), alpha=strength, zorder=2)
        axes.plot(part.confidence, part.confidence, "o", color=MUTED, markersize=3, zorder=3)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="accuracy", aspect="equal")
