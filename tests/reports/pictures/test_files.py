"""An SVG follows the reader's light and dark, and is the same whenever it is drawn."""

import re
from xml.etree import ElementTree

import pytest
from matplotlib import rc_context
from matplotlib.figure import Figure

from regdrop.reports.pictures.files import DARKENED, themed_svg
from regdrop.reports.pictures.palette import COLOURS, STYLE


def figure():
    with rc_context(STYLE):
        drawn = Figure(figsize=(3, 2))
        axes = drawn.subplots()
        for place, colour in enumerate(COLOURS):
            axes.plot([0, 1], [place, place], color=colour)
        axes.set(title="title", xlabel="x")
    return drawn


@pytest.fixture(scope="module")
def svg():
    return themed_svg(figure())


def test_every_colour_is_a_variable_with_a_dark_value(svg):
    drawing = svg.partition("</style>")[2]
    assert set(re.findall(r"#[0-9a-f]{6}", drawing)) <= {"#ffffff"}  # nothing but the transparent background
    for colour in COLOURS:
        assert f"var(--c{colour[1:]})" in drawing
    dark = svg.partition("prefers-color-scheme:dark")[2].partition("}}")[0]
    assert all(f"--c{light[1:]}:{value}" in dark for light, value in DARKENED.items())


def test_it_is_well_formed_and_the_same_each_time(svg):
    assert ElementTree.fromstring(svg).tag.endswith("svg")  # noqa: S314 - our own
    assert themed_svg(figure()) == svg
    assert "<!--" not in svg
    assert "<script" not in svg
