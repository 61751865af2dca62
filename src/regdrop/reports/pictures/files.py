"""Figures as files: a PNG for Markdown, an SVG that follows the reader's light or dark for HTML."""

import re
from io import BytesIO, StringIO
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image

from regdrop.checkpoints.atomic import atomic_path
from regdrop.reports.pictures.palette import COLOURS, DARK, DARK_COLOURS, STYLE

DPI = 100
SHADES = 64
DARKENED = dict(zip(COLOURS, DARK_COLOURS, strict=True)) | DARK
COLOUR = re.compile("|".join(DARKENED))


def save_picture(figure: Figure, path: Path) -> None:
    """Write the figure as a PNG of 100 dots an inch, whole or not at all.

    A palette of few colours, still more than the pictures have hues, makes the file a third as large.
    """
    drawn = BytesIO()
    with rc_context(STYLE):  # ticks are made while drawing
        figure.savefig(drawn, dpi=DPI, facecolor="white")
    with atomic_path(path) as beside, Image.open(drawn) as picture:
        picture.convert("RGB").quantize(SHADES).save(beside, dpi=(DPI, DPI), optimize=True)


def themed_svg(figure: Figure) -> str:
    """The figure as an SVG without background, whose colours become their dark counterparts where the reader has dark.

    Every colour of the palette becomes a CSS variable with two values; the same figure gives the same text.

    Example:
        >>> figure = Figure(figsize=(1, 1))
        >>> _ = figure.add_artist(__import__("matplotlib.lines").lines.Line2D([0, 1], [0, 1], color=COLOURS[0]))
        >>> "stroke: var(--c0072b2)" in themed_svg(figure), "--c0072b2:#56b4e9" in themed_svg(figure)
        (True, True)
    """
    drawn = StringIO()
    with rc_context({**STYLE, "svg.hashsalt": "regdrop", "svg.fonttype": "path"}):
        figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = re.sub(r"<!--.*?-->", "", drawn.getvalue(), flags=re.DOTALL)
    text = COLOUR.sub(lambda found: f"var({_variable(found.group())})", text)
    return text.replace('<style type="text/css">', f'<style type="text/css">{_THEME}', 1)


def _variable(colour: str) -> str:
    return f"--c{colour.removeprefix('#')}"


def _variables(colours: dict[str, str]) -> str:
    return ";".join(f"{_variable(light)}:{value}" for light, value in colours.items())


_THEME = (
    f":root{{{_variables({light: light for light in DARKENED})}}}"
    f"@media screen and (prefers-color-scheme:dark){{:root{{{_variables(DARKENED)}}}}}"
)
