"""Paired contrasts between arms: each in every metric that both have."""

from collections.abc import Iterable

from regdrop.studies.findings import finding
from regdrop.studies.metrics import COSTS, metric, metric_order
from regdrop.studies.result import ArmResult, Contrast
from regdrop.studies.statistics import paired_difference


def contrast_arms(pairs: Iterable[tuple[ArmResult, ArmResult]]) -> tuple[Contrast, ...]:
    """Compare treatments with references in every test metric, over the seeds that both finished."""
    return tuple(
        _contrast(treatment, reference, key)
        for treatment, reference in pairs
        for key in _shared_metrics(treatment, reference)
        if key not in COSTS
    )


def _shared_metrics(treatment: ArmResult, reference: ArmResult) -> list[str]:
    keys = metric_order(key for outcome in treatment.finished for key in outcome.metrics)
    return [key for key in keys if treatment.values(key).keys() & reference.values(key).keys()]


def _contrast(treatment: ArmResult, reference: ArmResult, key: str) -> Contrast:
    difference = paired_difference(treatment.values(key), reference.values(key))
    words = finding(metric(key), difference, treatment.label, reference.label)
    return Contrast(treatment.name, reference.name, key, difference, words)
