"""A sweep is drawn in the order of its factor, on a scale that keeps its arms apart."""

import numpy as np
from matplotlib.figure import Figure

from regdrop.reports.pictures.sweep import draw_sweep
from regdrop.studies.metrics import ACCURACY


def drawn(points):
    axes = Figure().subplots()
    draw_sweep(axes, ACCURACY, "alpha", points)
    return axes


def test_the_line_joins_the_means_in_order():
    axes = drawn([(4.0, {0: 0.9, 1: 0.7}), (1.0, {0: 0.5}), (2.0, {})])
    np.testing.assert_allclose(axes.get_lines()[0].get_xydata(), [(1.0, 50.0), (4.0, 80.0)])
    assert axes.get_xscale() == "linear"
    assert axes.get_xlabel() == "alpha"


def test_orders_of_magnitude_from_zero():
    axes = drawn([(at, {0: 0.5}) for at in (0.0, 0.3, 1.0, 10.0)])
    assert axes.get_xscale() == "symlog"
    places = axes.transData.transform([(at, 50.0) for at in (0.0, 0.3, 1.0, 10.0)])[:, 0]
    assert (np.diff(places) > 20).all()
    axes.figure.draw_without_rendering()
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "0.3", "1", "10"]
