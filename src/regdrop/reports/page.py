"""What a report says, before it is text: a title, key figures, and sections of statements, tables and pictures."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from tabulate import tabulate

from regdrop.reports.pictures.files import DPI
from regdrop.reports.pictures.palette import STYLE

Format = Literal["simple", "github"]
PANEL_INCHES = (4.4, 3.3)
PANELS_A_ROW = 4


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts whose first column names the rows; `align` is that of the others: numbers go to the right."""

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    align: Literal["left", "right"] = "right"

    def text(self, form: Format) -> str:
        """The table with aligned columns: `simple` for a terminal, `github` for Markdown."""
        align = ["left", *[self.align] * (len(self.heads) - 1)]
        heads, *rows = [[_cell(cell, form) for cell in row] for row in (self.heads, *self.rows)]
        return str(tabulate(rows, heads, tablefmt=form, disable_numparse=True, colalign=align))


@dataclass(frozen=True, slots=True)
class KeyFigure:
    """One number that a reader should see first."""

    value: str
    label: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One small picture.

    Attributes:
        title: over it.
        draw: onto axes.
        alt: what it shows, in numbers, for those who do not see it.
        legend: whether its lines have labels.
    """

    title: str
    draw: Callable[[Axes], None]
    alt: str
    legend: bool = False

    def figure(self) -> Figure:
        """The panel on its own, with its legend below, where it covers nothing."""
        with rc_context(STYLE):
            figure = Figure(figsize=PANEL_INCHES, dpi=DPI, layout="constrained")
            axes = figure.subplots()
            self.draw(axes)
            if self.legend and (handles := axes.get_legend_handles_labels())[0]:
                figure.legend(*handles, loc="outside lower left", ncols=2, fontsize=9)
        return figure


@dataclass(frozen=True, slots=True)
class Section:
    """One part of a report.

    Attributes:
        title: its heading.
        statements: sentences, one a line.
        tables: below them.
        panels: small pictures.
        picture: file name of all panels in one, for Markdown; empty where there are none.
        poster: draws that file; None sets the panels side by side.
        note: what to know when reading, in small print.
        code: a command or lines to copy.
    """

    title: str
    statements: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    panels: tuple[Panel, ...] = ()
    picture: str = ""
    poster: Callable[[], Figure] | None = None
    note: str = ""
    code: str = ""

    def figure(self) -> Figure:
        """All panels in one picture."""
        return self.poster() if self.poster else _side_by_side(self.panels)


@dataclass(frozen=True, slots=True)
class Page:
    """A report: `name` is that of its files, `lead` one sentence on what it is about."""

    name: str
    title: str
    lead: str
    figures: tuple[KeyFigure, ...]
    sections: tuple[Section, ...]


def _side_by_side(panels: tuple[Panel, ...]) -> Figure:
    columns = min(len(panels), PANELS_A_ROW)
    rows = -(-len(panels) // columns)
    with rc_context(STYLE):
        figure = Figure(figsize=(PANEL_INCHES[0] * columns, PANEL_INCHES[1] * rows), dpi=DPI, layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
        for axes, panel in zip(grid, panels, strict=False):
            panel.draw(axes)
            axes.set_title(panel.title)
        for axes in grid[len(panels) :]:
            axes.remove()
    return figure


def _cell(text: str, form: Format) -> str:
    """One line; what means something in Markdown is escaped there."""
    line = " ".join(text.split())
    return line.replace("|", "\\|").replace("<", "&lt;") if form == "github" else line
