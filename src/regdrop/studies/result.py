"""What a study found: arms, the outcomes of their seeds, and the paired contrasts between them."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from regdrop.errors import DataError
from regdrop.studies.findings import cost
from regdrop.studies.jobs import Outcome
from regdrop.studies.metrics import SECONDS, metric_order
from regdrop.studies.statistics import PairedDifference, spread
from regdrop.training.typed import read_typed

STUDY = "study.json"
MAX_CHARACTERS = 20_000_000


@dataclass(frozen=True, slots=True)
class ArmResult:
    """One arm.

    Attributes:
        name: of its folder.
        label: how people read it.
        point: where it lies on the study's factors, one number a factor; empty where it lies on none.
        alpha: weight of the divergence; None without R-Drop.
        passes: forward passes a step.
        steps: optimiser steps a run.
        compute: passes of single items a run, as a multiple of the recipe's run without R-Drop.
        outcomes: one a seed, failed ones included.
    """

    name: str
    label: str
    point: tuple[float, ...]
    alpha: float | None
    passes: int
    steps: int
    compute: float
    outcomes: tuple[Outcome, ...]

    @property
    def finished(self) -> tuple[Outcome, ...]:
        """The outcomes that did not fail."""
        return tuple(outcome for outcome in self.outcomes if outcome.failure is None)

    def values(self, key: str) -> dict[int, float]:
        """Seed -> value of a metric on the test part, or of a cost of training, over the runs that did not fail."""
        return {outcome.seed: outcome.metrics[key] for outcome in self.finished if key in outcome.metrics}

    def validation(self, key: str) -> dict[int, float]:
        """Seed -> value of a metric on the validation part, with the same weights, over the runs that did not fail."""
        return {outcome.seed: outcome.validation[key] for outcome in self.finished if key in outcome.validation}


@dataclass(frozen=True, slots=True)
class Contrast:
    """Treatment minus reference in one metric of the test part, paired by seed, and what that shows in words."""

    treatment: str
    reference: str
    metric: str
    difference: PairedDifference
    finding: str


@dataclass(frozen=True, slots=True)
class Choice:
    """The arm that did best on the validation part, by the mean over its seeds of the recipe's own metric."""

    arm: str
    metric: str
    validation: float
    finding: str


@dataclass(frozen=True, slots=True)
class StudyResult:
    """A whole study; every number in its tables and texts is in its JSON.

    Attributes:
        study: name of the study.
        about: what it compares, in a few words.
        recipe: name of the recipe.
        command: repeats it, given the `recipe.yaml` beside it.
        date: when it was finished, UTC.
        machine: what the seconds were measured on.
        versions: of Python and the packages that decide the numbers.
        factors: what varies along the coordinates of the arms' `point`; empty where the arms are no sweep.
        reference: name of the arm that the others are compared with.
        arms: in the order of their colours.
        contrasts: of each arm with the reference, and with a baseline of its own compute where there is one.
        choice: what the validation part chooses; None where the study is no choice.
        caveats: what makes the arms less alike than they look.
    """

    study: str
    about: str
    recipe: str
    command: str
    date: str
    machine: str
    versions: dict[str, str]
    factors: tuple[str, ...]
    reference: str
    arms: tuple[ArmResult, ...]
    contrasts: tuple[Contrast, ...]
    choice: Choice | None
    caveats: tuple[str, ...]

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics of the test part that the runs report, what they cost last."""
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
        pairs = dict.fromkeys((contrast.treatment, contrast.reference) for contrast in self.contrasts)
        return tuple(_cost(self.arm(treatment), self.arm(reference)) for treatment, reference in pairs)

    @property
    def alpha(self) -> float | None:
        """That of the arm which the validation part chooses, else of the first arm with R-Drop."""
        if self.choice is not None:
            return self.arm(self.choice.arm).alpha
        return next((arm.alpha for arm in self.arms if arm.alpha), None)

    def arm(self, name: str) -> ArmResult:
        """The arm of a name."""
        return next(arm for arm in self.arms if arm.name == name)

    def to_json(self) -> str:
        """The result as a JSON object over several lines."""
        return json.dumps(asdict(self), indent=2, allow_nan=False) + "\n"


def read_study(folder: Path) -> StudyResult:
    """Read `study.json` from the folder of a study.

    Raises:
        DataError: no such file, too large, or not a study; the text names file and key.
    """
    path = folder / STUDY
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); expected the folder of a finished study") from error
    if len(text) > MAX_CHARACTERS:
        raise DataError(f"{path} has {len(text)} characters; a study has at most {MAX_CHARACTERS}")
    return _checked(read_typed(StudyResult, text, str(path)), path)


def _checked(study: StudyResult, path: Path) -> StudyResult:
    """Refuse names that lead nowhere, or out of the folder."""
    names = {arm.name for arm in study.arms}
    outside = [name for name in names if name in ("", "..") or Path(name).name != name]
    if outside:
        raise DataError(f"{path}: the arm {outside[0][:40]!r} is no name of a folder; run the study again")
    compared = {name for contrast in study.contrasts for name in (contrast.treatment, contrast.reference)}
    chosen = {study.choice.arm} if study.choice else set()
    unknown = ({study.reference} | compared | chosen) - names
    if unknown:
        raise DataError(f"{path} speaks of the arm {min(unknown)[:40]!r}, which it does not have; run the study again")
    return study


def _cost(treatment: ArmResult, reference: ArmResult) -> str:
    seconds = [spread(list(arm.values(SECONDS.key).values())).mean for arm in (treatment, reference)]
    return cost(treatment.label, reference.label, *seconds)
