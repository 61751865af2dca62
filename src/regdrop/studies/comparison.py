"""What a comparison found: arms, the outcomes of their seeds, and the paired contrasts between them."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from regdrop.studies.findings import cost, finding
from regdrop.studies.jobs import Outcome
from regdrop.studies.metrics import SECONDS, metric, metric_order
from regdrop.studies.statistics import PairedDifference, paired_difference, spread


@dataclass(frozen=True, slots=True)
class ArmResult:
    """One arm.

    Attributes:
        name: of its folder.
        label: how people read it.
        passes: forward passes a step.
        steps: optimiser steps a run.
        outcomes: one a seed, failed ones included.
    """

    name: str
    label: str
    passes: int
    steps: int
    outcomes: tuple[Outcome, ...]

    @property
    def finished(self) -> tuple[Outcome, ...]:
        """The outcomes that did not fail."""
        return tuple(outcome for outcome in self.outcomes if outcome.failure is None)

    def values(self, key: str) -> dict[int, float]:
        """Seed -> value of a metric, over the runs that did not fail."""
        return {outcome.seed: outcome.metrics[key] for outcome in self.finished if key in outcome.metrics}


@dataclass(frozen=True, slots=True)
class Contrast:
    """Treatment minus reference in one metric, paired by seed, and what that shows in words."""

    treatment: str
    reference: str
    metric: str
    difference: PairedDifference
    finding: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """A whole comparison; every number in its tables and texts is in its JSON.

    Attributes:
        recipe: name of the recipe.
        alpha: weight of the divergence in the arm with R-Drop.
        command: repeats it, given the `recipe.yaml` beside it.
        date: when it was finished, UTC.
        machine: what the seconds were measured on.
        versions: of Python and the packages that decide the numbers.
        arms: in the order of their colours.
        contrasts: of the arm with R-Drop with each of the others.
        caveats: what makes the arms of this recipe less alike than they look.
    """

    recipe: str
    alpha: float
    command: str
    date: str
    machine: str
    versions: dict[str, str]
    arms: tuple[ArmResult, ...]
    contrasts: tuple[Contrast, ...]
    caveats: tuple[str, ...]

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that the runs report, the training time last."""
        return tuple(metric_order(key for arm in self.arms for outcome in arm.finished for key in outcome.metrics))

    @property
    def failures(self) -> tuple[str, ...]:
        """A sentence for each failed run."""
        return tuple(
            f"{arm.label}, seed {outcome.seed}: failed, left out of every mean and pair ({outcome.failure})"
            for arm in self.arms
            for outcome in arm.outcomes
            if outcome.failure is not None
        )

    @property
    def costs(self) -> tuple[str, ...]:
        """A sentence for each pair of arms compared: the ratio of their mean training times."""
        arms = {arm.name: arm for arm in self.arms}
        pairs = dict.fromkeys((contrast.treatment, contrast.reference) for contrast in self.contrasts)
        return tuple(_cost(arms[treatment], arms[reference]) for treatment, reference in pairs)

    def to_json(self) -> str:
        """The comparison as a JSON object over several lines."""
        return json.dumps(asdict(self), indent=2, allow_nan=False) + "\n"


def contrast_arms(treatment: ArmResult, references: Sequence[ArmResult]) -> tuple[Contrast, ...]:
    """Compare one arm with each of the others in every test metric, over the seeds that both finished."""
    return tuple(
        _contrast(treatment, reference, key)
        for reference in references
        for key in _shared_metrics(treatment, reference)
        if key != SECONDS.key
    )


def _shared_metrics(treatment: ArmResult, reference: ArmResult) -> list[str]:
    keys = metric_order(key for outcome in treatment.finished for key in outcome.metrics)
    return [key for key in keys if treatment.values(key).keys() & reference.values(key).keys()]


def _contrast(treatment: ArmResult, reference: ArmResult, key: str) -> Contrast:
    difference = paired_difference(treatment.values(key), reference.values(key))
    words = finding(metric(key), difference, treatment.label, reference.label)
    return Contrast(treatment.name, reference.name, key, difference, words)


def _cost(treatment: ArmResult, reference: ArmResult) -> str:
    seconds = [spread(list(arm.values(SECONDS.key).values())).mean for arm in (treatment, reference)]
    return cost(treatment.label, reference.label, *seconds)
