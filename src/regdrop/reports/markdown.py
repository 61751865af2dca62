"""A report as Markdown, its pictures as PNG files beside it."""

from regdrop.reports.page import KeyFigure, Page, Section


def markdown(page: Page) -> str:
    """The text of `NAME.md`; `Section.picture` names the files it links to.

    Example:
        >>> print(markdown(Page("run", "A run", "What it came to.", (), (Section("Findings", ("None.",)),))), end="")
        # A run
        <BLANKLINE>
        What it came to.
        <BLANKLINE>
        ## Findings
        <BLANKLINE>
        - None.
    """
    figures = tuple(_line(_figure(figure)) for figure in page.figures)
    parts = [f"# {_line(page.title)}", _line(page.lead), _bullets(figures), *map(_section, page.sections)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _figure(figure: KeyFigure) -> str:
    return f"**{figure.value}** {figure.label}" + (f" ({figure.detail})" if figure.detail else "")


def _section(section: Section) -> str:
    parts = [f"## {_line(section.title)}", _bullets(tuple(map(_line, section.statements)))]
    for table in section.tables:
        parts += [f"{_line(table.caption)}:", table.text("github")]
    if section.picture:
        parts.append(f"![{_alt(section)}]({section.picture})")
    if section.code:
        parts.append(f"```\n{section.code.replace('```', '')}\n```")
    return "\n\n".join(part for part in [*parts, _line(section.note)] if part)


def _bullets(lines: tuple[str, ...]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _alt(section: Section) -> str:
    """What the panels show; their numbers are in the tables and, panel by panel, in the HTML page."""
    return "; ".join(_line(panel.title) for panel in section.panels).replace("[", "(").replace("]", ")")


def _line(text: str) -> str:
    """One line, without the beginnings of HTML."""
    return " ".join(text.split()).replace("<", "&lt;")
