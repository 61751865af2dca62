"""What a few seeds can say: mean and spread, the paired difference with its interval, and an exact permutation test."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from regdrop.errors import InputError

# Below this many resamples scipy enumerates all 2^n sign flips (n <= 16 seeds); above it draws them.
SIGN_FLIPS = 2**16
BOOTSTRAP_SEEDS = 10  # with fewer, resamples repeat a handful of values and the interval is too short
RESAMPLES = 9_999


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation over seeds; one seed has no standard deviation."""

    mean: float
    sd: float | None
    count: int


@dataclass(frozen=True)
class PairedDifference:
    """Treatment minus reference, seed by seed, with its 95 % t interval and sign-flip p-value.

    Differences without spread (one seed, or all alike) say nothing about their error: the interval is then None. From
    ten seeds on there is a bootstrap interval, too, which does not suppose normal differences.
    """

    seeds: tuple[int, ...]
    mean: float
    low: float | None
    high: float | None
    p_value: float
    bootstrap_low: float | None = None
    bootstrap_high: float | None = None

    @property
    def shown(self) -> bool:
        """Whether the interval exists and leaves 0 out."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def spread(values: Sequence[float]) -> Spread:
    """Mean and sample standard deviation (n - 1 in the denominator).

    Args:
        values: one finite number a seed, at least one, in the metric's own unit.

    Raises:
        InputError: no value, or one that is not finite.

    Example:
        >>> spread([1.0, 2.0, 3.0])
        Spread(mean=2.0, sd=1.0, count=3)
    """
    _check_finite(values)
    return Spread(float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None, len(values))


def paired_difference(treatment: Mapping[int, float], reference: Mapping[int, float]) -> PairedDifference:
    """Mean of treatment minus reference over the seeds that both have, with a 95 % interval.

        d_s = treatment_s - reference_s,   interval = mean(d) +- t_{0.975, n-1} * sd(d) / sqrt(n)

    Args:
        treatment: seed -> finite value, in the metric's own unit.
        reference: the same for the other side; seeds that only one side has are left out.

    Raises:
        InputError: no seed in common, or a value that is not finite.

    Source: Student's t interval of the paired differences; p-value of `sign_flip_p_value`.

    Example:
        >>> paired_difference({0: 3.0, 1: 5.0}, {1: 3.0, 0: 2.0}).mean
        1.5
    """
    seeds = tuple(sorted(treatment.keys() & reference.keys()))
    if not seeds:
        raise InputError(f"seeds {sorted(treatment)} and {sorted(reference)} have none in common; run both sides")
    differences = [treatment[seed] - reference[seed] for seed in seeds]
    center = spread(differences)
    low, high = _t_interval(center)
    bootstrap = bootstrap_interval(differences) if low is not None and len(seeds) >= BOOTSTRAP_SEEDS else (None, None)
    return PairedDifference(seeds, center.mean, low, high, sign_flip_p_value(differences), *bootstrap)


def bootstrap_interval(differences: Sequence[float]) -> tuple[float, float]:
    """95 % interval of the mean of paired differences, from resampled seeds.

    Args:
        differences: one finite number a seed, not all alike.

    Raises:
        InputError: no difference, or one that is not finite.

    Source: Efron's BCa interval as `scipy.stats.bootstrap` computes it, from 9,999 resamples drawn from one seed.

    Example:
        >>> low, high = bootstrap_interval([0.9, 1.1, 1.0, 1.3, 0.7, 1.0, 1.2, 0.8, 1.1, 0.9])
        >>> 0.85 < low < 1.0 < high < 1.15
        True
    """
    _check_finite(differences)
    sample = (np.asarray(differences, dtype=np.float64),)
    found = stats.bootstrap(sample, np.mean, n_resamples=RESAMPLES, method="BCa", rng=np.random.default_rng(0))
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def sign_flip_p_value(differences: Sequence[float]) -> float:
    """Two-sided p-value of the paired differences when each may as well have had the other sign.

        p = share of the 2^n sign vectors s with |mean(s d)| >= |mean(d)|

    Args:
        differences: one finite number a seed; with up to 16 all sign vectors are visited, with more 65,536 drawn ones.

    Raises:
        InputError: no difference, or one that is not finite.

    Source: Fisher's randomisation test; `scipy.stats.permutation_test` counts.

    Example:
        >>> sign_flip_p_value([1.0, 2.0, 0.5, 1.5, 1.0])
        0.0625
    """
    _check_finite(differences)
    scale = float(np.mean(np.abs(differences)))
    if len(differences) == 1 or scale == 0:
        return 1.0
    result = stats.permutation_test(
        (np.asarray(differences, dtype=np.float64) / scale,),
        # Sign vectors of equal mean must tie; without the rounding, the order of summation decides.
        lambda sample, axis: np.round(np.mean(sample, axis=axis), 12),
        permutation_type="samples",
        n_resamples=SIGN_FLIPS,
        vectorized=True,
        rng=np.random.default_rng(0),
    )
    return float(result.pvalue)


def smallest_p_value(count: int) -> float:
    """The least p-value that `count` paired seeds can reach, 2 / 2^count.

    Example:
        >>> smallest_p_value(5)
        0.0625
    """
    return min(1.0, 2.0 ** (1 - count))


def _t_interval(center: Spread) -> tuple[float, float] | tuple[None, None]:
    if not center.sd:
        return None, None
    half = float(stats.t.ppf(0.975, center.count - 1)) * center.sd / math.sqrt(center.count)
    return center.mean - half, center.mean + half


def _check_finite(values: Sequence[float]) -> None:
    if not values or not all(map(math.isfinite, values)):
        raise InputError(f"expected at least one number, all finite, but got {list(values)}; leave failed runs out")
