"""The words say what the numbers show, and no more."""

import pytest

from regdrop.studies.findings import finding
from regdrop.studies.metrics import ACCURACY, LOSS, SECONDS, metric
from regdrop.studies.statistics import paired_difference

ZEROS = dict.fromkeys(range(5), 0.0)
UP = dict(enumerate([0.010, 0.012, 0.008, 0.011, 0.009]))
DOWN = {seed: -value for seed, value in UP.items()}
MIXED = dict(enumerate([0.010, -0.012, 0.008, -0.011, 0.009]))


def say(shown, values, reference=ZEROS):
    return finding(shown, paired_difference(values, reference), "R-Drop", "baseline")


@pytest.mark.parametrize(
    ("shown", "values", "verdict"),
    [(ACCURACY, UP, "better"), (ACCURACY, DOWN, "worse"), (LOSS, UP, "worse"), (LOSS, DOWN, "better")],
)
def test_a_direction_is_claimed_where_the_interval_leaves_zero_out(shown, values, verdict):
    text = say(shown, values)
    assert f"{shown.name}: {verdict} by" in text
    assert "leaves 0 out" in text


def test_the_sentence_carries_size_interval_seeds_and_p_value():
    assert say(ACCURACY, UP) == (
        "R-Drop vs baseline, accuracy: better by +1.00 points (5 seeds; the 95 % interval +0.80 to +1.20 leaves 0 out; "
        "sign-flip p = 0.062, the least that 5 seeds can give)."
    )


def test_no_difference_is_said_where_the_interval_contains_zero():
    text = say(ACCURACY, MIXED)
    assert "no difference shown" in text
    assert "contains 0" in text
    assert "better" not in text
    assert "worse" not in text


def test_no_direction_is_claimed_where_the_two_tests_disagree():
    one_against = dict(enumerate([0.010, 0.012, 0.008, 0.011, -0.0004]))
    assert paired_difference(one_against, ZEROS).shown
    assert say(ACCURACY, one_against).startswith("R-Drop vs baseline, accuracy: unclear (+0.81 points in 5 seeds;")
    assert "leaves 0 out, but sign-flip p = 0.12)" in say(ACCURACY, one_against)


def test_one_seed_shows_nothing():
    assert say(ACCURACY, {3: 0.5}, {3: 0.4}).endswith(
        "+10.00 points in 1 seed: no spread, so nothing is shown; run more seeds."
    )


def test_the_limit_of_few_seeds_is_named_only_where_it_binds():
    eight = {seed: 0.01 + seed / 1e4 for seed in range(8)}
    assert "the least that" not in say(ACCURACY, eight, dict.fromkeys(eight, 0.0))
    assert "the least that" not in say(ACCURACY, MIXED)


def test_metrics_are_scaled_and_unknown_ones_are_shown_as_they_are():
    assert ACCURACY.show(0.98765) == "98.77"
    assert SECONDS.show(1.26) == "1.3"
    assert metric("wit").title == "wit"
    assert metric("wit").show(27.5, "+") == "+27.5000"


def test_many_seeds_have_their_bootstrap_interval_told():
    many = {seed: 0.01 + 0.001 * (seed % 5) for seed in range(12)}
    difference = paired_difference(many, dict.fromkeys(many, 0.0))
    told = f"bootstrap {100 * difference.bootstrap_low:+.2f} to {100 * difference.bootstrap_high:+.2f}; sign-flip p"
    assert told in say(ACCURACY, many, dict.fromkeys(many, 0.0))
    assert "bootstrap" not in say(ACCURACY, UP)
