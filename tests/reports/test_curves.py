"""What is drawn equals what was recorded, in the units of the axes."""

import numpy as np
import pytest

from regdrop.reports.curves import KL, TASK_LOSS, ArmRecords, Curve, band, validation
from regdrop.reports.records import read_records
from regdrop.training.run import train
from run_records import write_run
from tiny import tiny_recipe


@pytest.fixture
def arm(tmp_path):
    written = [write_run(tmp_path / str(seed), seed=seed, passes=2, pace=0.1 + seed / 10) for seed in range(3)]
    runs = tuple(read_records(tmp_path / str(seed)) for seed in range(3))
    return ArmRecords("R-Drop", 2, runs), written


def test_validation_curves_are_the_evaluation_records_scaled(arm):
    records, written = arm
    for curve, (_, evaluations) in zip(validation("accuracy").curves(records, "seconds"), written, strict=True):
        assert curve.values.tolist() == pytest.approx([100 * record["eval_accuracy"] for record in evaluations])
        assert curve.times.tolist() == [record["seconds"] for record in evaluations]
        assert curve.steps.tolist() == [record["step"] for record in evaluations]


@pytest.mark.parametrize(("quantity", "key", "divisor"), [(TASK_LOSS, "task_loss", 2), (KL, "kl", 1)])
def test_training_curves_are_trailing_means_of_the_step_records(arm, quantity, key, divisor):
    records, written = arm
    window = 2  # 1/25 of 40 steps, rounded
    for curve, (steps, _) in zip(quantity.curves(records, "step"), written, strict=True):
        values = [record[key] / divisor for record in steps]
        slow = [np.mean(values[max(0, end - window) : end]) for end in range(1, len(values) + 1)]
        assert curve.values.tolist() == pytest.approx(slow)


def test_an_arm_without_r_drop_has_no_kl_curve(tmp_path):
    write_run(tmp_path / "0", seed=0)
    assert KL.curves(ArmRecords("baseline", 1, (read_records(tmp_path / "0"),)), "step") == []


def test_plain_steps_between_those_of_r_drop_share_their_scale(tmp_path):
    train(tiny_recipe(rdrop__every=2), tmp_path / "run", seed=0, progress=False)
    records = read_records(tmp_path / "run")
    assert [record.kl is None for record in records.steps] == [False, True] * 3
    (curve,) = TASK_LOSS.curves(ArmRecords("every second step", 2, (records,)), "step")
    assert curve.values[0] == pytest.approx(np.log(10), abs=1e-3)  # the head starts undecided
    assert np.abs(np.diff(curve.values)).max() < 0.1


def test_the_mean_is_taken_step_by_step_on_either_clock(arm):
    records, written = arm
    mean, sd = band(validation("loss").curves(records, "seconds"))
    table = np.array([[record["eval_loss"] for record in evaluations] for _, evaluations in written])
    seconds = np.array([[record["seconds"] for record in evaluations] for _, evaluations in written])
    np.testing.assert_allclose(mean.values, table.mean(axis=0))
    np.testing.assert_allclose(mean.times, seconds.mean(axis=0))
    np.testing.assert_allclose(sd, table.std(axis=0, ddof=1))


def test_only_steps_that_every_run_has_are_averaged():
    long = Curve(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0]), np.array([5.0, 6.0, 7.0]))
    gappy = Curve(np.array([1.0, 3.0]), np.array([1.0, 3.0]), np.array([1.0, 1.0]))
    mean, _ = band([long, gappy])
    assert mean.steps.tolist() == [1.0, 3.0]
    assert mean.values.tolist() == [3.0, 4.0]


def test_one_run_has_a_band_of_no_width(arm):
    records, _ = arm
    curve = TASK_LOSS.curves(records, "step")[0]
    mean, sd = band([curve])
    assert mean.values.tolist() == curve.values.tolist()
    assert not sd.any()
