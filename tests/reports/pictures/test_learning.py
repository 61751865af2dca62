"""The picture holds the data: every line in its axes equals the records, and the file is a whole PNG."""

import numpy as np
import pytest
from PIL import Image

from regdrop.reports.curves import KL, TASK_LOSS, ArmRecords, band, validation
from regdrop.reports.pictures.files import DPI, save_picture
from regdrop.reports.pictures.learning import learning_curves, run_curves
from regdrop.reports.records import read_records
from run_records import write_run

QUANTITIES = [validation("accuracy"), validation("loss"), TASK_LOSS, KL]


@pytest.fixture
def arms(tmp_path):
    def read(name, passes, steps):
        for seed in range(2):
            write_run(tmp_path / name / str(seed), seed=seed, passes=passes, steps=steps, pace=0.1 * passes)
        return ArmRecords(name, passes, tuple(read_records(tmp_path / name / str(seed)) for seed in range(2)))

    return [read("baseline", 1, 40), read("R-Drop", 2, 40), read("long baseline", 1, 80)]


def expected_lines(quantity, arms, clock):
    """Thin lines of the seeds, then their mean, arm by arm."""
    for arm in arms:
        curves = quantity.curves(arm, clock)
        yield from curves
        if curves:
            yield band(curves)[0]


def test_every_line_equals_the_records(arms):
    axes = iter(learning_curves(arms, "title").axes)
    for clock in ("step", "seconds"):
        for quantity in QUANTITIES:
            drawn = [line.get_xydata() for line in next(axes).get_lines()]
            curves = list(expected_lines(quantity, arms, clock))
            assert len(drawn) == len(curves) > 0
            for line, curve in zip(drawn, curves, strict=True):
                np.testing.assert_array_equal(line, np.stack([curve.times, curve.values], axis=1))
    assert next(axes, None) is None


def test_axes_are_labelled_with_their_units_and_the_legend_names_the_arms(arms):
    figure = learning_curves(arms, "a headline")
    assert {axes.get_xlabel() for axes in figure.axes} == {"optimiser steps", "training time (s)"}
    assert [axes.get_ylabel() for axes in figure.axes[:4]] == [
        "accuracy (%)",
        "loss (nats)",
        "loss (nats)",
        "KL (nats)",
    ]
    (legend,) = figure.legends
    assert legend.get_title().get_text() == "a headline"
    assert [text.get_text() for text in legend.get_texts()][:3] == [f"{arm.label}, 2 seeds" for arm in arms]


def test_a_wide_band_does_not_stretch_a_logarithmic_axis(tmp_path):
    for seed in (0, 1000):
        write_run(tmp_path / str(seed), seed=seed)
    arm = ArmRecords("baseline", 1, tuple(read_records(tmp_path / str(seed)) for seed in (0, 1000)))
    panel = learning_curves([arm], "title").axes[1]
    lowest = min(line.get_ydata().min() for line in panel.get_lines())
    assert panel.get_yscale() == "log"
    assert panel.get_ylim()[0] == pytest.approx(0.9 * lowest)


def test_arms_differ_in_colour_and_dash(arms):
    panel = learning_curves(arms, "title").axes[0]
    means = [line for line in panel.get_lines() if not line.get_label().startswith("_")]
    assert len({line.get_color() for line in means}) == len(arms)
    assert means[0].get_linestyle() != means[1].get_linestyle()


def test_the_legend_covers_no_panel(arms):
    figure = learning_curves(arms, "title")
    figure.draw_without_rendering()
    lowest = figure.legends[0].get_window_extent().y0
    assert all(axes.get_tightbbox().y1 <= lowest for axes in figure.axes)


def test_the_file_is_a_whole_png_and_nothing_is_left_beside_it(arms, tmp_path):
    path = tmp_path / "curves.png"
    figure = learning_curves(arms, "title")
    save_picture(figure, path)
    with Image.open(path) as image:
        image.load()
        assert image.size == tuple((figure.get_size_inches() * DPI).astype(int))
        assert np.asarray(image.convert("L")).std() > 5
    assert [file.name for file in tmp_path.glob("*curves*")] == ["curves.png"]


def test_the_curves_of_one_run_equal_its_records(tmp_path):
    steps, evaluations = write_run(tmp_path / "run", seed=1, passes=2, steps=50)
    arm = ArmRecords("R-Drop", 2, (read_records(tmp_path / "run"),))
    figure = run_curves(arm, "one run")
    lines = {axes.get_title(loc="left"): axes.get_lines()[0].get_xydata() for axes in figure.axes}
    accuracy = [(record["step"], 100 * record["eval_accuracy"]) for record in evaluations]
    np.testing.assert_allclose(lines["Validation accuracy"], accuracy)
    np.testing.assert_allclose(lines["Learning rate"], [(record["step"], record["lr"]) for record in steps])
    for quantity in (TASK_LOSS, KL):
        np.testing.assert_array_equal(lines[quantity.title][:, 1], quantity.curves(arm, "step")[0].values)
    assert len(lines) == len(figure.axes) == 5


def test_one_run_without_r_drop_has_no_panel_of_kl(tmp_path):
    write_run(tmp_path / "run", seed=1)
    figure = run_curves(ArmRecords("baseline", 1, (read_records(tmp_path / "run"),)), "one run")
    assert KL.title not in [axes.get_title(loc="left") for axes in figure.axes]
