"""Dots, bars and lines lie where the numbers are."""

import numpy as np
import pytest
from matplotlib import rc_context
from matplotlib.figure import Figure

from regdrop.reports.pictures.dots import draw_dots
from regdrop.reports.pictures.files import themed_svg
from regdrop.reports.pictures.palette import COLOURS, STYLE
from regdrop.studies.metrics import ACCURACY, LOSS

ARMS = [("baseline", {0: 0.9, 1: 0.8}), ("R-Drop", {0: 0.95, 1: 0.85, 2: 0.7}), ("failed", {})]


@pytest.fixture
def axes():
    return Figure().subplots()


def test_a_dot_a_run_and_a_bar_at_the_mean(axes):
    draw_dots(axes, ACCURACY, ARMS)
    dots, bars = axes.collections[0::2], axes.collections[1::2]
    for place, (_, values) in enumerate(ARMS[:2]):
        expected = [(place, 100 * value) for value in values.values()]
        np.testing.assert_allclose(dots[place].get_offsets(), expected)
        ((segment),) = bars[place].get_segments()
        np.testing.assert_allclose(segment[:, 1], 100 * np.mean(list(values.values())))
    assert len(dots) == len(bars) == 2
    assert axes.get_ylabel() == "accuracy (%)"


def test_lines_join_the_runs_of_a_seed(axes):
    draw_dots(axes, LOSS, ARMS)
    lines = [line.get_xydata().tolist() for line in axes.get_lines()]
    assert lines == [[[0, 0.9], [1, 0.95]], [[0, 0.8], [1, 0.85]], [[1, 0.7]]]


def test_long_labels_are_cut_and_lie_aslant(axes):
    draw_dots(axes, LOSS, [("an arm whose label is far too long for a tick", {0: 1.0}), *ARMS])
    (first, *_) = axes.get_xticklabels()
    assert len(first.get_text()) == 24
    assert first.get_rotation() == 25


def test_a_label_is_no_formula():
    with rc_context(STYLE):
        figure = Figure()
        draw_dots(figure.subplots(), LOSS, [(r"$\frac{$", {0: 1.0})])
    assert r"<svg" in themed_svg(figure)


def test_more_arms_than_colours(axes):
    draw_dots(axes, LOSS, [(f"arm {place}", {0: float(place)}) for place in range(len(COLOURS) + 2)])
    assert len(axes.collections) == 2 * (len(COLOURS) + 2)
