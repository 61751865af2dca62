"""The bars of a reliability picture are the stored bins."""

from matplotlib.figure import Figure

from regdrop.diagnostics.calibration import Bin, Calibration
from regdrop.reports.pictures.reliability import draw_reliability

BINS = (Bin(0.0, 0.5, 4, 0.4, 0.25), Bin(0.5, 0.75, 0, None, None), Bin(0.75, 1.0, 16, 0.9, 1.0))


def test_bars_are_accuracies_and_dots_confidences():
    axes = Figure().subplots()
    draw_reliability(axes, Calibration(0.2, BINS))
    assert [(bar.get_x(), bar.get_height()) for bar in axes.patches] == [(0.0, 0.25), (0.75, 1.0)]
    dots = [line.get_xydata()[0].tolist() for line in axes.get_lines()[1:]]
    assert dots == [[0.4, 0.4], [0.9, 0.9]]


def test_fuller_bins_are_stronger():
    axes = Figure().subplots()
    draw_reliability(axes, Calibration(0.2, BINS))
    few, many = (bar.get_alpha() for bar in axes.patches)
    assert few < many <= 1
