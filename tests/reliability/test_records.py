"""Whatever one value of a record is changed to, the record is refused or reported."""

import json
from copy import deepcopy
from dataclasses import asdict, replace

import pytest

from comparisons import BASELINE, R_DROP, comparison_of
from regdrop.diagnostics.record import DIAGNOSIS
from regdrop.errors import RDropError
from regdrop.reports import run
from regdrop.reports.curves import ArmRecords
from regdrop.reports.markdown import markdown
from regdrop.reports.study_page import study_page
from regdrop.studies.jobs import outcome_of
from regdrop.studies.result import STUDY, read_study
from regdrop.training.summary import RunSummary, versions
from reports.folders import diagnosis_of
from run_records import write_run

SUMMARY = RunSummary(
    "digits_vit", 3, {"alpha": 1.0}, 10, 8, {"loss": 0.5}, {"loss": 0.3}, {"bleu": "v"}, 1.5, versions()
)
# "\ud800" is half a character, which JSON may hold and no file
CHANGES = [None, 0, -1, 1e308, 1e-320, 10**400, "", "\ud800", "..", "a/b", [], {}, True]


def places(value, at=()):
    """The way to each value within nested records."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield (*at, key)
            yield from places(inner, (*at, key))


def changed(record, at, new):
    """A copy of a record with one value changed."""
    record = deepcopy(record)
    holder = record
    for key in at[:-1]:
        holder = holder[key]
    holder[at[-1]] = new
    return json.dumps(record)


def read_or_refused(record, read):
    """How many changes of one value were refused; those that are not must be readable."""
    refused = 0
    for at in places(record):
        for new in CHANGES:
            try:
                read(changed(record, at, new))
            except RDropError:
                refused += 1
    return refused


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of numbers at the end of what floats can be
def test_a_study(tmp_path):
    def read(text):
        (tmp_path / STUDY).write_text(text)
        study = read_study(tmp_path)
        arms = [ArmRecords(arm.label, arm.passes, ()) for arm in study.arms]
        markdown(study_page(study, arms, {})).encode()

    record = json.loads(comparison_of(BASELINE[:2], R_DROP[:2]).to_json())
    read(json.dumps(record))
    assert read_or_refused(record, read) > 100


def test_a_summary():
    def read(text):
        outcome_of(RunSummary.from_json(text))

    read(SUMMARY.to_json())
    assert read_or_refused(asdict(SUMMARY), read) > 30


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", ["summary.json", DIAGNOSIS])
def test_the_page_of_a_run(tmp_path, monkeypatch, name):
    out = tmp_path / "run"
    write_run(out, seed=0, steps=2, every=1, passes=2)
    rdrop = {"enabled": True, "alpha": 1.0, "passes": 2}
    (out / "summary.json").write_text(replace(SUMMARY, rdrop=rdrop).to_json())
    (out / DIAGNOSIS).write_text(diagnosis_of().to_json())
    monkeypatch.setattr(run, "write_page", lambda page, out: markdown(page).encode())  # without the pictures

    def read(text):
        (out / name).write_text(text)
        run.report_run(out)

    record = json.loads((out / name).read_text())
    read(json.dumps(record))
    assert read_or_refused(record, read) > 100
