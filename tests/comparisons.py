"""Comparisons made of given numbers, without training."""

from regdrop.studies.comparison import ArmResult, Comparison, contrast_arms
from regdrop.studies.jobs import Outcome

BASELINE = [
    {"accuracy": accuracy, "loss": loss, "seconds": seconds}
    for accuracy, loss, seconds in [(0.90, 0.40, 10.0), (0.92, 0.35, 11.0), (0.89, 0.45, 10.5), (0.91, 0.38, 10.2)]
]
R_DROP = [
    {"accuracy": accuracy, "loss": loss, "seconds": seconds}
    for accuracy, loss, seconds in [(0.93, 0.30, 18.0), (0.94, 0.29, 19.0), (0.93, 0.31, 18.4), (0.92, 0.33, 20.0)]
]


def arm_result(name, label, passes, runs):
    """An arm whose runs are metrics, or a text where they failed; the place of a run is its seed."""
    outcomes = [Outcome(seed, {}, run) if isinstance(run, str) else Outcome(seed, run) for seed, run in enumerate(runs)]
    return ArmResult(name, label, passes, 100, tuple(outcomes))


def comparison_of(baseline, r_drop):
    """R-Drop against a baseline, from the metrics of their runs."""
    arms = (arm_result("baseline", "baseline", 1, baseline), arm_result("r-drop", "R-Drop", 2, r_drop))
    return Comparison(
        recipe="digits_vit",
        alpha=0.5,
        command=f"regdrop compare recipe.yaml --seeds {len(r_drop)}",
        date="2026-01-02",
        machine="a machine",
        versions={"python": "3.11"},
        arms=arms,
        contrasts=contrast_arms(arms[1], arms[:1]),
        caveats=("Mind this.",),
    )
