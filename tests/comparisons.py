"""Studies made of given numbers, without training."""

from regdrop.studies.contrasts import contrast_arms
from regdrop.studies.jobs import Outcome
from regdrop.studies.result import ArmResult, StudyResult

BASELINE = [
    {"accuracy": accuracy, "loss": loss, "seconds": seconds}
    for accuracy, loss, seconds in [(0.90, 0.40, 10.0), (0.92, 0.35, 11.0), (0.89, 0.45, 10.5), (0.91, 0.38, 10.2)]
]
R_DROP = [
    {"accuracy": accuracy, "loss": loss, "seconds": seconds}
    for accuracy, loss, seconds in [(0.93, 0.30, 18.0), (0.94, 0.29, 19.0), (0.93, 0.31, 18.4), (0.92, 0.33, 20.0)]
]


def arm_result(name, label, passes, runs, point=()):
    """An arm whose runs are metrics, or a text where they failed; the place of a run is its seed."""
    return ArmResult(
        name=name,
        label=label,
        point=point,
        alpha=0.5 if passes > 1 else None,
        passes=passes,
        steps=100,
        compute=float(passes),
        outcomes=tuple(_outcome(seed, run) for seed, run in enumerate(runs)),
    )


def comparison_of(baseline, r_drop):
    """R-Drop against a baseline, from the metrics of their runs."""
    return study_of(arm_result("baseline", "baseline", 1, baseline), arm_result("r-drop", "R-Drop", 2, r_drop))


def study_of(*arms, study="compare", factors=(), choice=None):
    """The study of some arms, the first of which is the reference."""
    return StudyResult(
        study=study,
        about="R-Drop against plain dropout",
        recipe="digits_vit",
        command=f"regdrop study {study} recipe.yaml --seeds {len(arms[0].outcomes)}",
        date="2026-01-02",
        machine="a machine",
        versions={"python": "3.11"},
        factors=factors,
        reference=arms[0].name,
        arms=arms,
        contrasts=contrast_arms((arm, arms[0]) for arm in arms[1:]),
        choice=choice,
        caveats=("Mind this.",),
    )


def _outcome(seed, run):
    """Validation metrics are one hundredth below those of the test part, so that tests can tell them apart."""
    if isinstance(run, str):
        return Outcome(seed, {}, run)
    return Outcome(seed, run, validation={key: run[key] - 0.01 for key in ("accuracy", "loss") if key in run})
