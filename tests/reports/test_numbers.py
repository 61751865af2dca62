"""Every number that a page shows is in the records it was made of, or is computed here from them."""

import json

import numpy as np
import pytest

from comparisons import BASELINE, R_DROP, arm_result, comparison_of, study_of
from regdrop.reports.curves import KL, LEARNING_RATE, TASK_LOSS, ArmRecords, band, validation
from regdrop.reports.records import read_records
from regdrop.reports.report import report
from regdrop.training import run
from reports.folders import diagnosis_of, write_study
from reports.page_text import read, unfound
from tiny import tiny_recipe


def ends_of_curves(passes, folders):
    """First and last mean, spread and time of every quantity; `test_curves.py` holds them to the records."""
    arm = ArmRecords("", passes, tuple(map(read_records, folders)))
    for quantity in (*map(validation, ("accuracy", "ece", "loss")), TASK_LOSS, KL, LEARNING_RATE):
        for clock in ("step", "seconds"):
            if curves := quantity.curves(arm, clock):
                mean, sd = band(curves)
                yield from (mean.values[0], mean.values[-1], sd[0], sd[-1], mean.times[0], mean.times[-1])


def derived(study, out):
    """Means and deviations over seeds, ratios of cost, counts of seeds, ends of curves."""
    for arm in study.arms:
        folders = [out / "runs" / arm.name / f"seed-{outcome.seed}" for outcome in arm.finished]
        yield from (len(arm.outcomes), len(arm.finished), len(arm.outcomes) - len(arm.finished))
        yield from ends_of_curves(arm.passes, folders) if folders else ()
        for key in study.metrics:
            values = [outcome.metrics[key] for outcome in arm.finished]
            yield from (np.mean(values), np.std(values, ddof=1)) if len(values) > 1 else values
    for contrast in study.contrasts:
        yield len(contrast.difference.seeds)
        yield 2.0 ** (1 - len(contrast.difference.seeds))
        seconds = [
            np.mean(list(study.arm(name).values("seconds").values()))
            for name in (contrast.treatment, contrast.reference)
        ]
        yield seconds[0] / seconds[1]


def pages(page):
    """HTML and Markdown."""
    yield read(page.read_text())[0]
    yield page.with_suffix(".md").read_text()


SWEEP = study_of(
    arm_result("baseline", "baseline", 1, BASELINE),
    *(arm_result(f"alpha-{at:g}", f"alpha = {at:g}", 2, R_DROP, (at,)) for at in (0.25, 0.5, 8.0)),
    study="alpha",
    factors=("alpha",),
)
FAILED = comparison_of([*BASELINE[:3], "RuntimeError: out of memory at step 17"], R_DROP)


@pytest.mark.parametrize("study", [comparison_of(BASELINE, R_DROP), FAILED, SWEEP], ids=["plain", "failed", "sweep"])
def test_numbers_of_a_study(tmp_path, study, undrawn):
    write_study(tmp_path, study)
    records = json.loads(study.to_json())
    for text in pages(report(tmp_path)):
        assert len(text) > 1000
        assert unfound(text, records, list(derived(study, tmp_path))) == []


def test_numbers_of_another_study_are_not_found(tmp_path, undrawn):
    """The check above can fail."""
    one, other = (comparison_of(BASELINE[:count], R_DROP[:count]) for count in (4, 3))
    write_study(tmp_path, one)
    text, _ = read(report(tmp_path).read_text())
    assert len(unfound(text, json.loads(other.to_json()), list(derived(other, tmp_path)))) > 10


def test_numbers_of_a_run(tmp_path, undrawn):
    out = tmp_path / "run"
    summary = run.train(tiny_recipe(), out, seed=2, progress=False)
    computed = [*ends_of_curves(2, [out]), (summary.peak_bytes or 0) / 1e6]
    for text in pages(report(out)):
        assert unfound(text, json.loads(summary.to_json()), computed) == []


def test_numbers_of_a_diagnosis(tmp_path, undrawn):
    record = diagnosis_of()
    (tmp_path / "diagnosis.json").write_text(record.to_json())
    bins = record.diagnosis.calibration.bins
    for text in pages(report(tmp_path)):
        assert unfound(text, json.loads(record.to_json()), [part.high for part in bins]) == []
