"""What a paired difference means, in sentences that carry their own limits."""

from typing import Literal

from regdrop.studies.metrics import SECONDS, Metric
from regdrop.studies.statistics import PairedDifference, smallest_p_value

Verdict = Literal["better", "worse", "unclear", "not shown"]


def finding(metric: Metric, difference: PairedDifference, treatment: str, reference: str) -> str:
    """State what the seeds show about `treatment` minus `reference`, and what they do not.

    A direction is claimed only where the 95 % interval leaves 0 out and the exact test does not object: its p-value is
    at most 0.05, or the least that so few seeds can give.

    Args:
        metric: names and scales the numbers.
        difference: treatment minus reference in the metric's stored unit.
        treatment: label of the first side, as in "R-Drop".
        reference: label of the other side.

    Example:
        >>> from regdrop.studies.metrics import ACCURACY
        >>> from regdrop.studies.statistics import paired_difference
        >>> finding(ACCURACY, paired_difference({0: 0.9}, {0: 0.8}), "R-Drop", "baseline")
        'R-Drop vs baseline, accuracy: +10.00 points in 1 seed: no spread, so nothing is shown; run more seeds.'
    """
    size = f"{metric.show(difference.mean, '+')} {metric.step}".rstrip()
    head = f"{treatment} vs {reference}, {metric.name}"
    seeds = count_seeds(len(difference.seeds))
    if difference.low is None or difference.high is None:
        return f"{head}: {size} in {seeds}: no spread, so nothing is shown; run more seeds."
    interval = f"95 % interval {metric.show(difference.low, '+')} to {metric.show(difference.high, '+')}"
    p_value = f"{_bootstrap(metric, difference)}{_p_value(difference)}"
    match verdict(metric, difference):
        case "not shown":
            return f"{head}: no difference shown ({size} in {seeds}; the {interval} contains 0; {p_value})."
        case "unclear":
            return f"{head}: unclear ({size} in {seeds}; the {interval} leaves 0 out, but {p_value})."
        case direction:
            return f"{head}: {direction} by {size} ({seeds}; the {interval} leaves 0 out; {p_value})."


def verdict(metric: Metric, difference: PairedDifference) -> Verdict:
    """Which way a difference points, where it points anywhere; "unclear" where interval and exact test disagree.

    Example:
        >>> from regdrop.studies.metrics import LOSS
        >>> from regdrop.studies.statistics import paired_difference
        >>> verdict(LOSS, paired_difference({0: 0.7, 1: 0.9, 2: 0.8}, {0: 1.0, 1: 1.1, 2: 1.2}))
        'better'
    """
    if not difference.shown:
        return "not shown"
    if difference.p_value > max(0.05, smallest_p_value(len(difference.seeds))):
        return "unclear"
    return "better" if (difference.mean > 0) == metric.higher_is_better else "worse"


def cost(treatment: str, reference: str, treatment_seconds: float, reference_seconds: float) -> str:
    """State what the treatment costs in training time, whatever it gains.

    Example:
        >>> cost("R-Drop", "baseline", 18.0, 10.0)
        'R-Drop took 1.80 times the training time of baseline (18.0 s against 10.0 s a run).'
    """
    ratio = treatment_seconds / reference_seconds
    times = f"{SECONDS.show(treatment_seconds)} s against {SECONDS.show(reference_seconds)} s a run"
    return f"{treatment} took {ratio:.2f} times the training time of {reference} ({times})."


def count_seeds(seeds: int) -> str:
    """A number of seeds in words.

    Example:
        >>> count_seeds(1), count_seeds(5)
        ('1 seed', '5 seeds')
    """
    return f"{seeds} seed" if seeds == 1 else f"{seeds} seeds"


def _bootstrap(metric: Metric, difference: PairedDifference) -> str:
    low, high = difference.bootstrap_low, difference.bootstrap_high
    return "" if low is None or high is None else f"bootstrap {metric.show(low, '+')} to {metric.show(high, '+')}; "


def _p_value(difference: PairedDifference) -> str:
    text = f"sign-flip p = {difference.p_value:.2g}"
    least = smallest_p_value(len(difference.seeds))
    if least > 0.05 and difference.p_value <= least:
        text += f", the least that {count_seeds(len(difference.seeds))} can give"
    return text
