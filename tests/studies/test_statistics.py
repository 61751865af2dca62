"""Statistics against scipy's own tests and against enumeration."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from regdrop.errors import InputError
from regdrop.studies.statistics import paired_difference, sign_flip_p_value, smallest_p_value, spread

numbers = st.floats(-1e3, 1e3).map(lambda value: round(value, 6))
samples = st.lists(numbers, min_size=2, max_size=9)


def enumerated_p_value(differences):
    observed = abs(math.fsum(differences))
    flips = itertools.product((1, -1), repeat=len(differences))
    sums = [abs(math.fsum(s * d for s, d in zip(signs, differences, strict=True))) for signs in flips]
    return sum(total >= observed - 1e-9 for total in sums) / len(sums)


@given(samples)
@example([1.5, 0.99999, 0.996094, -1.5, -1.5, -0.5])  # sign vectors whose sums are equal but for rounding
@settings(max_examples=60, deadline=None)
def test_p_value_equals_enumeration(differences):
    assert sign_flip_p_value(differences) == pytest.approx(enumerated_p_value(differences))


@given(samples)
@settings(max_examples=60, deadline=None)
def test_p_value_ignores_order_and_direction(differences):
    expected = sign_flip_p_value(differences)
    assert sign_flip_p_value(differences[::-1]) == pytest.approx(expected)
    assert sign_flip_p_value([-difference for difference in differences]) == pytest.approx(expected)


@pytest.mark.parametrize("count", [1, 2, 5, 16])
def test_differences_of_one_sign_reach_the_smallest_p_value(count):
    assert sign_flip_p_value([1.0 + index for index in range(count)]) == smallest_p_value(count)


def test_many_seeds_are_sampled_the_same_way_every_time():
    differences = np.random.default_rng(3).normal(0.3, 1.0, 24).tolist()
    first = sign_flip_p_value(differences)
    assert first == sign_flip_p_value(differences)
    assert first == pytest.approx(stats.ttest_1samp(differences, 0.0).pvalue, abs=0.02)


@given(samples)
def test_spread_is_the_mean_and_the_sample_deviation(values):
    found = spread(values)
    mean = math.fsum(values) / len(values)
    assert found.mean == pytest.approx(mean, abs=1e-9)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
    assert found.sd == pytest.approx(deviation, abs=1e-6)


def test_one_seed_has_no_deviation_and_no_interval():
    assert spread([0.5]).sd is None
    found = paired_difference({7: 0.5}, {7: 0.25})
    assert (found.seeds, found.mean, found.low, found.high, found.p_value) == ((7,), 0.25, None, None, 1.0)
    assert not found.shown


def test_interval_equals_scipys_paired_t_test():
    rng = np.random.default_rng(0)
    treatment, reference = rng.normal(0.5, 1.0, 6), rng.normal(0.0, 1.0, 6)
    found = paired_difference(dict(enumerate(treatment)), dict(enumerate(reference)))
    expected = stats.ttest_rel(treatment, reference).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_pairs_are_made_by_seed_not_by_position():
    reference = {0: 10.0, 1: 20.0, 2: 30.0}
    shuffled = {2: 31.0, 0: 11.5, 1: 21.0}
    found = paired_difference(shuffled, reference)
    assert found == paired_difference(dict(sorted(shuffled.items())), reference)
    assert found.high - found.low < 3.0 < np.std(list(reference.values()))


def test_seeds_of_one_side_only_are_left_out():
    found = paired_difference({0: 1.0, 1: 2.0, 2: 100.0}, {0: 0.5, 1: 1.0, 3: -100.0})
    assert found.seeds == (0, 1)
    assert found.mean == pytest.approx(0.75)


def test_shown_means_that_the_interval_leaves_zero_out():
    zeros = dict.fromkeys(range(5), 0.0)
    assert paired_difference({0: 1.0, 1: 1.1, 2: 0.9, 3: 1.2, 4: 0.8}, zeros).shown
    assert paired_difference({0: -1.0, 1: -1.1, 2: -0.9, 3: -1.2, 4: -0.8}, zeros).shown
    assert not paired_difference({0: 1.0, 1: -1.1, 2: 0.9, 3: -1.2, 4: 0.8}, zeros).shown


def test_differences_without_spread_show_nothing():
    assert not paired_difference({0: 2.0, 1: 2.0}, {0: 1.0, 1: 1.0}).shown


@pytest.mark.parametrize("values", [[], [math.nan], [1.0, math.inf]])
def test_failed_runs_are_refused_rather_than_averaged(values):
    with pytest.raises(InputError, match="leave failed runs out"):
        spread(values)


def test_sides_without_a_common_seed_are_refused():
    with pytest.raises(InputError, match=r"\[0\] and \[1\] have none in common"):
        paired_difference({0: 1.0}, {1: 1.0})


def seeded(values):
    return dict(enumerate(values))


pairs = st.lists(st.tuples(numbers, numbers), min_size=2, max_size=12)


@given(pairs)
@settings(max_examples=40, deadline=None)
def test_swapping_the_sides_mirrors_the_difference(values):
    ours, theirs = (seeded(side) for side in zip(*values, strict=True))
    one, other = paired_difference(ours, theirs), paired_difference(theirs, ours)
    assert one.mean == pytest.approx(-other.mean, abs=1e-9)
    assert one.p_value == pytest.approx(other.p_value)
    assert (one.low is None) == (other.low is None)
    if one.low is not None:
        assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=1e-6)


@given(pairs, st.floats(0.1, 10), st.floats(-10, 10))
@settings(max_examples=40, deadline=None)
def test_units_and_offsets_shared_by_both_sides_do_not_matter(values, scale, offset):
    ours, theirs = zip(*values, strict=True)
    one = paired_difference(seeded(ours), seeded(theirs))
    moved = [seeded([scale * value + offset for value in side]) for side in (ours, theirs)]
    other = paired_difference(*moved)
    assert other.mean == pytest.approx(scale * one.mean, abs=1e-6)
    if one.low is not None and one.high - one.low > 1e-3:
        assert (other.low, other.high) == pytest.approx((scale * one.low, scale * one.high), abs=1e-5)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(1)
    zeros = seeded([0.0] * 5)
    intervals = [paired_difference(seeded(rng.normal(0.3, 1.0, 5)), zeros) for _ in range(400)]
    covered = sum(found.low <= 0.3 <= found.high for found in intervals)
    assert stats.binomtest(covered, 400, 0.95).pvalue > 0.001


def test_ten_seeds_have_a_bootstrap_interval_near_the_t_interval_and_fewer_have_none():
    differences = np.random.default_rng(2).normal(1.0, 0.5, 30)
    found = paired_difference(seeded(differences), seeded(np.zeros(30)))
    assert (found.bootstrap_low, found.bootstrap_high) == pytest.approx((found.low, found.high), abs=0.1)
    assert found == paired_difference(seeded(differences), seeded(np.zeros(30)))
    nine = paired_difference(seeded(differences[:9]), seeded(np.zeros(9)))
    assert nine.bootstrap_low is nine.bootstrap_high is None
    assert paired_difference(seeded([1.0] * 12), seeded([0.0] * 12)).bootstrap_low is None
