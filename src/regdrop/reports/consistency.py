"""What dropout does to the models of a study: their diagnoses, compared seed by seed."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path

from regdrop.diagnostics.calibration import Bin, Calibration
from regdrop.diagnostics.diagnosis import Diagnosis
from regdrop.diagnostics.record import DIAGNOSIS
from regdrop.errors import DataError
from regdrop.reports.alternatives import dot_words, reliability_words
from regdrop.reports.page import Panel, Section, Table
from regdrop.reports.pictures.dots import draw_dots
from regdrop.reports.pictures.reliability import draw_reliability
from regdrop.reports.reading import read_diagnosis
from regdrop.studies.findings import finding
from regdrop.studies.jobs import run_folder
from regdrop.studies.metrics import ECE, Metric
from regdrop.studies.result import StudyResult
from regdrop.studies.statistics import paired_difference, spread

Diagnoses = Mapping[str, Mapping[int, Diagnosis]]
QUANTITIES: dict[Metric, Callable[[Diagnosis], float]] = {
    Metric("pairwise_kl", "KL between sub-models", "nats", 1, 4, False): lambda found: found.consistency.pairwise_kl,
    Metric("total_variation", "total variation", "", 1, 4, False): lambda found: found.consistency.total_variation,
    Metric("pairwise_disagreement", "disagreement", "%", 100, 2, False): (
        lambda found: found.consistency.pairwise_disagreement
    ),
    Metric("loss_gap", "loss gap", "nats", 1, 4, False): lambda found: found.consistency.loss_gap,
    ECE: lambda found: found.calibration.ece,
}
NOTE = (
    "KL, total variation and disagreement are between pairs of sub-models, drawn by dropout from the best weights of "
    "every run; the loss gap is |NLL(full model) - mean NLL(sub-models)|; the calibration error is the full model's. "
    "Reliability: a bar is the accuracy in a bin of confidence over all seeds, its dot the mean confidence; the "
    "stronger the colour, the more items."
)


def read_diagnoses(study: StudyResult, out: Path) -> Diagnoses:
    """The diagnoses that lie beside the records of a study's runs, by arm and seed; arms without are left out.

    Raises:
        DataError: one of them is damaged, or is of another extent than the others.
    """
    found = {
        arm.name: {
            outcome.seed: read_diagnosis(folder).diagnosis
            for outcome in arm.finished
            if (folder := run_folder(out, arm.name, outcome.seed)).joinpath(DIAGNOSIS).is_file()
        }
        for arm in study.arms
    }
    alike = {_extent(each) for seeds in found.values() for each in seeds.values()}
    if len(alike) > 1:
        first, second = sorted(alike)[:2]
        raise DataError(f"diagnoses in {out} are of {first} and of {second}; repeat: regdrop diagnose {out}")
    return {arm: diagnoses for arm, diagnoses in found.items() if diagnoses}


def _extent(found: Diagnosis) -> str:
    """What must be the same for diagnoses to be compared."""
    return f"{found.items} items, {found.passes} sub-models, {len(found.calibration.bins)} bins"


def consistency_section(study: StudyResult, diagnoses: Diagnoses) -> list[Section]:
    """What the diagnoses of a study come to; nothing where there are none."""
    if not diagnoses:
        return []
    shown = [metric for metric in QUANTITIES if metric.key != "total_variation"]
    panels = [_dots(study, diagnoses, metric) for metric in shown]
    panels += [_reliability(study, diagnoses, name) for name in diagnoses]
    findings = tuple(
        sentence for metric in QUANTITIES for name in diagnoses for sentence in _finding(study, diagnoses, metric, name)
    )
    tables = (_table(study, diagnoses),)
    return [Section("Sub-models and calibration", findings, tables, tuple(panels), "consistency.png", note=NOTE)]


def values(diagnoses: Diagnoses, arm: str, metric: Metric) -> dict[int, float]:
    """Seed -> one quantity of an arm's diagnoses."""
    return {seed: QUANTITIES[metric](found) for seed, found in diagnoses[arm].items()}


def pooled(calibrations: list[Calibration]) -> Calibration:
    """The calibration over the items of several models with bins of the same number.

    Example:
        >>> one = Calibration(0.5, (Bin(0.0, 1.0, 1, 0.5, 1.0),))
        >>> two = Calibration(0.1, (Bin(0.0, 1.0, 3, 0.9, 1.0),))
        >>> pooled([one, two]).bins[0].items, round(pooled([one, two]).ece, 3)
        (4, 0.2)
    """
    bins = tuple(map(_merged, zip(*(calibration.bins for calibration in calibrations), strict=True)))
    items = sum(part.items for part in bins)
    gaps = sum(part.items * abs((part.accuracy or 0) - (part.confidence or 0)) for part in bins)
    return Calibration(gaps / items, bins)


def _merged(parts: tuple[Bin, ...]) -> Bin:
    items = sum(part.items for part in parts)
    if not items:
        return parts[0]
    confidence, accuracy = (
        sum(part.items * (getattr(part, name) or 0) for part in parts) / items for name in ("confidence", "accuracy")
    )
    return Bin(parts[0].low, parts[0].high, items, confidence, accuracy)


def _table(study: StudyResult, diagnoses: Diagnoses) -> Table:
    rows = tuple(
        (study.arm(name).label, *(_mean_sd(diagnoses, name, metric) for metric in QUANTITIES)) for name in diagnoses
    )
    found = next(iter(next(iter(diagnoses.values())).values()))
    caption = f"Mean ± sample standard deviation over seeds; {found.items:,} items, {found.passes} sub-models a run"
    return Table(caption, ("arm", *(metric.title for metric in QUANTITIES)), rows)


def _mean_sd(diagnoses: Diagnoses, arm: str, metric: Metric) -> str:
    center = spread(list(values(diagnoses, arm, metric).values()))
    return metric.show(center.mean) + ("" if center.sd is None else f" ± {metric.show(center.sd)}")


def _finding(study: StudyResult, diagnoses: Diagnoses, metric: Metric, arm: str) -> list[str]:
    reference = study.reference
    if arm == reference or reference not in diagnoses or not diagnoses[arm].keys() & diagnoses[reference].keys():
        return []
    difference = paired_difference(values(diagnoses, arm, metric), values(diagnoses, reference, metric))
    return [finding(metric, difference, study.arm(arm).label, study.arm(reference).label)]


def _dots(study: StudyResult, diagnoses: Diagnoses, metric: Metric) -> Panel:
    arms = [(arm.label, values(diagnoses, arm.name, metric) if arm.name in diagnoses else {}) for arm in study.arms]
    draw = partial(draw_dots, metric=metric, arms=arms)
    return Panel(metric.name[0].upper() + metric.name[1:], draw, dot_words(metric, arms))


def _reliability(study: StudyResult, diagnoses: Diagnoses, name: str) -> Panel:
    calibration = pooled([found.calibration for found in diagnoses[name].values()])
    place = [arm.name for arm in study.arms].index(name)
    draw = partial(draw_reliability, calibration=calibration, place=place)
    return Panel(f"Reliability, {study.arm(name).label}", draw, reliability_words(calibration))


def consistency_text(study: StudyResult, diagnoses: Diagnoses) -> str:
    """The table and the findings for a terminal."""
    (section,) = consistency_section(study, diagnoses)
    return "\n\n".join([*(table.text("simple") for table in section.tables), "\n".join(section.statements)])


def consistency_json(diagnoses: Diagnoses) -> str:
    """Every diagnosis by arm and seed, for a program."""
    plain = {arm: {seed: asdict(found) for seed, found in seeds.items()} for arm, seeds in diagnoses.items()}
    return json.dumps(plain, indent=2, allow_nan=False)
