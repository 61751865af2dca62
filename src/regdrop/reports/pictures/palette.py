"""The colours of pictures and pages, in light and dark, and the style of every picture."""

from typing import Any

# After Okabe and Ito, told apart by every kind of colour vision, and darkened or lightened until each stands out from
# its background 3 : 1 (WCAG 2.2, 1.4.11); the dashes tell them apart in grey.
COLOURS = ("#0072b2", "#d55e00", "#00845e", "#b04f88", "#9a6700", "#3b7fc4", "#5f5fb8", "#7a7a00")
DARK_COLOURS = ("#56b4e9", "#ff8c42", "#2bc99a", "#e59ac4", "#f0b429", "#a7c7e7", "#a9a9f5", "#d6d65c")
DASHES: tuple[Any, ...] = ((0, (4, 1)), "-", (0, (1.2, 0.8)), (0, (4, 1, 1, 1)), (0, (8, 1)), (0, (2, 2)))

TEXT, MUTED, LINE, GRID = "#333334", "#555556", "#777778", "#e8e8e9"
DARK = {TEXT: "#e3e6ea", MUTED: "#b3bac3", LINE: "#8b939d", GRID: "#2d333b"}
BACKGROUNDS = ("#ffffff", "#14171c")

STYLE = {
    "font.size": 10,
    "text.color": TEXT,
    "text.parse_math": False,  # labels may hold a $
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": LINE,
    "axes.labelcolor": TEXT,
    "axes.titlecolor": TEXT,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
}


def colour(place: int) -> str:
    """The colour of the arm at a place in the order of a study."""
    return COLOURS[place % len(COLOURS)]


def dash(place: int) -> Any:
    """The dashes of the arm at a place in the order of a study."""
    return DASHES[place % len(DASHES)]
