"""Every string of a report's page stays text, whoever wrote it."""

from dataclasses import fields, is_dataclass, replace
from xml.etree import ElementTree

import pytest

from regdrop.reports.html import html
from regdrop.reports.markdown import markdown
from regdrop.reports.page import KeyFigure, Page, Panel, Section, Table
from regdrop.reports.pictures.files import themed_svg
from reports.page_text import read

HOSTILE = [
    '"><script>alert(1)</script><img src=x onerror=alert(2)>',
    "' onload='alert(3)",
    "{{ 7 * 7 }}{% raw %}",
    "</style></title><base href=//evil>",
    "javascript:alert(4)",
    r"$\input{/etc/passwd}$ $\frac{",
]
OWN = {"name", "picture", "align"}  # what no record decides


def draw(axes):
    axes.plot([0, 1], [1, 2], label="line")


PLAIN = Page(
    "name",
    "title",
    "lead",
    (KeyFigure("value", "label", "detail"),),
    (
        Section(
            "heading",
            ("statement",),
            (Table("caption", ("head", "other"), (("row", "cell"),)),),
            (Panel("panel", draw, "alternative", legend=True),),
            "picture.png",
            note="note",
            code="code",
        ),
    ),
)


def everywhere(value, text):
    """The value with a text added to every string in it that records decide."""
    if is_dataclass(value):
        names = {each.name for each in fields(value)} - OWN
        return replace(value, **{name: everywhere(getattr(value, name), text) for name in names})
    if isinstance(value, tuple):
        return tuple(everywhere(each, text) for each in value)
    return f"{value} {text}" if isinstance(value, str) else value


@pytest.mark.parametrize("text", HOSTILE)
def test_no_string_of_a_page_becomes_a_tag_or_an_attribute(text):
    shown, tags = read(html(everywhere(PLAIN, text)))
    expected = read(html(PLAIN))[1]
    assert [tag for tag, _ in tags] == [tag for tag, _ in expected]
    assert [list(attributes) for _, attributes in tags] == [list(attributes) for _, attributes in expected]
    assert shown.count(text) >= repr(everywhere(PLAIN, "TEXT")).count("TEXT")


@pytest.mark.parametrize("text", HOSTILE)
def test_no_string_of_markdown_begins_a_tag(text):
    outside_code = markdown(everywhere(PLAIN, text)).partition("```")[0]
    assert "<" not in outside_code


@pytest.mark.parametrize("text", HOSTILE)
def test_a_picture_s_labels_stay_text(text):
    def draw_hostile(axes):
        axes.plot([0, 1], [1, 2], label=text)
        axes.set_title(text)
        axes.set_xlabel(text)

    panel = replace(PLAIN.sections[0].panels[0], draw=draw_hostile)
    picture = ElementTree.fromstring(themed_svg(panel.figure()))  # noqa: S314 - made here
    tags = {element.tag.rpartition("}")[2] for element in picture.iter()}
    assert "path" in tags
    assert not tags & {"script", "image", "a", "foreignObject"}
