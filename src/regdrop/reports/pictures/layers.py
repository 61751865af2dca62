"""Which layers' noise makes sub-models differ, as bars."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from regdrop.diagnostics.layers import LayerNoise
from regdrop.reports.pictures.palette import colour

MOST_NAME = 32


def draw_layers(axes: Axes, layers: Sequence[LayerNoise]) -> None:
    """Draw the KL between two draws with the noise of one layer alone, the strongest on top.

    Args:
        axes: to draw on.
        layers: at least one, in the order to show them.
    """
    names = [_end(layer.layer or "the model itself") for layer in layers]
    axes.barh(range(len(layers)), [layer.kl for layer in layers], color=colour(0), height=0.7)
    axes.set_yticks(range(len(layers)), names)
    axes.invert_yaxis()
    axes.set_xlabel("KL with its noise alone (nats)")
    axes.grid(visible=False, axis="y")


def _end(name: str) -> str:
    """The end of a path tells layers apart."""
    return name if len(name) <= MOST_NAME else f"…{name[1 - MOST_NAME :]}"
