"""Diagnoses of a study: pooled exactly, compared seed by seed."""

import json
from pathlib import Path

import numpy as np
import pytest

from comparisons import BASELINE, R_DROP, comparison_of
from diagnostics import slow
from regdrop.diagnostics.calibration import CalibrationSums
from regdrop.errors import DataError
from regdrop.reports.consistency import consistency_json, consistency_section, consistency_text, pooled, read_diagnoses
from regdrop.studies.jobs import run_folder
from reports.folders import write_study


@pytest.fixture
def study(tmp_path):
    return write_study(tmp_path, comparison_of(BASELINE[:3], [*R_DROP[:2], "NaN"]), diagnosed=True)


def test_pooling_bins_is_counting_all_items_at_once():
    logits, target = slow.normal(90, 4), slow.classes(90, 4)
    whole, parts = CalibrationSums(7), []
    whole.add(logits, target)
    for rows, labels in zip(logits.split(30), target.split(30), strict=True):
        part = CalibrationSums(7)
        part.add(rows, labels)
        parts.append(part.result())
    found, expected = pooled(parts), whole.result()
    assert found.ece == pytest.approx(expected.ece)
    for ours, theirs in zip(found.bins, expected.bins, strict=True):
        assert ours.items == theirs.items
        assert [ours.confidence, ours.accuracy] == pytest.approx([theirs.confidence, theirs.accuracy])


def test_bins_of_different_numbers_cannot_be_pooled(tmp_path, study):
    path = run_folder(tmp_path, "baseline", 0) / "diagnosis.json"
    record = json.loads(path.read_text())
    del record["diagnosis"]["calibration"]["bins"][0]
    path.write_text(json.dumps(record))
    with pytest.raises(DataError, match="9 bins"):
        read_diagnoses(study, tmp_path)


def test_the_table_and_the_findings_are_those_of_the_diagnoses(tmp_path, study):
    diagnoses = read_diagnoses(study, tmp_path)
    assert {arm: sorted(seeds) for arm, seeds in diagnoses.items()} == {"baseline": [0, 1, 2], "r-drop": [0, 1]}
    (section,) = consistency_section(study, diagnoses)
    kls = [found.consistency.pairwise_kl for found in diagnoses["baseline"].values()]
    assert section.tables[0].rows[0][1] == f"{np.mean(kls):.4f} ± {np.std(kls, ddof=1):.4f}"
    differences = [
        diagnoses["r-drop"][seed].consistency.pairwise_kl - diagnoses["baseline"][seed].consistency.pairwise_kl
        for seed in (0, 1)
    ]
    assert f"{np.mean(differences):+.4f} nats (2 seeds" in section.statements[0]
    text = consistency_text(study, diagnoses)
    assert section.statements[0] in text
    assert json.loads(consistency_json(diagnoses))["r-drop"]["1"]["items"] == 200


def test_the_docs_quote_the_committed_study():
    docs = Path(__file__).parents[2] / "docs"
    quoted = [
        line for line in (docs / "diagnose.md").read_text().splitlines() if line.startswith("- R-Drop vs baseline")
    ]
    page = (docs / "studies" / "diagnose" / "study.md").read_text().splitlines()
    assert len(quoted) == 5
    assert set(quoted) <= set(page)
    found = json.loads((docs / "studies" / "diagnose" / "diagnoses.json").read_text())
    kls = {arm: [each["consistency"]["pairwise_kl"] for each in seeds.values()] for arm, seeds in found.items()}
    assert f"KL between sub-models: better by {np.mean(kls['r-drop']) - np.mean(kls['baseline']):+.4f}" in quoted[0]


def test_a_study_without_diagnoses_has_no_such_section(tmp_path):
    study = write_study(tmp_path)
    assert consistency_section(study, read_diagnoses(study, tmp_path)) == []


def test_an_arm_alone_is_shown_without_a_finding(tmp_path, study):
    for seed in (0, 1, 2):
        (run_folder(tmp_path, "baseline", seed) / "diagnosis.json").unlink()
    (section,) = consistency_section(study, read_diagnoses(study, tmp_path))
    assert section.statements == ()
