"""A report onto the disk: Markdown with its PNG files, and one HTML file."""

from pathlib import Path

from regdrop.checkpoints.atomic import atomic_path
from regdrop.reports.html import html
from regdrop.reports.markdown import markdown
from regdrop.reports.page import Page
from regdrop.reports.pictures.files import save_picture


def write_page(page: Page, out: Path) -> Path:
    """Write `NAME.md`, `NAME.html` and the pictures that the Markdown links to.

    Args:
        page: what to say.
        out: folder that is there.

    Returns:
        The HTML file.
    """
    for section in page.sections:
        if section.picture:
            save_picture(section.figure(), out / section.picture)
    for suffix, text in (("md", markdown(page)), ("html", html(page))):
        with atomic_path(out / f"{page.name}.{suffix}") as beside:
            beside.write_text(text, encoding="utf-8")
    return out / f"{page.name}.html"
