"""A report as one HTML file that needs nothing else: its pictures are inside, it loads nothing and runs nothing."""

from base64 import b64encode
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from regdrop.reports.page import Page, Panel
from regdrop.reports.pictures.files import themed_svg


def html(page: Page) -> str:
    """The text of `NAME.html`. Every string of the page is escaped, whoever wrote it.

    Example:
        >>> text = html(Page("run", "<script>", "What it came to.", (), ()))
        >>> "<h1>&lt;script&gt;</h1>" in text, "<script" in text
        (True, False)
    """
    return _template().render(page=page)


@cache
def _template() -> Template:
    loader = PackageLoader("regdrop.reports")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["data_uri"] = _data_uri
    return environment.get_template("page.html.j2")


def _data_uri(panel: Panel) -> str:
    return "data:image/svg+xml;base64," + b64encode(themed_svg(panel.figure()).encode()).decode()
