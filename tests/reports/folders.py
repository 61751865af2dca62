"""Folders of studies and diagnoses as the commands write them, made of given numbers."""

import torch

from comparisons import BASELINE, R_DROP, comparison_of
from diagnostics.nets import labelled, mlp
from regdrop.diagnostics.diagnose import diagnose
from regdrop.diagnostics.record import DIAGNOSIS, DiagnosisRecord
from regdrop.studies.jobs import run_folder
from regdrop.studies.result import STUDY
from run_records import write_run


def write_study(out, study=None, diagnosed=False):
    """The folder of a study, with the records of its finished runs; returns the study."""
    study = study or comparison_of(BASELINE, R_DROP)
    out.mkdir(parents=True, exist_ok=True)
    (out / STUDY).write_text(study.to_json())
    for arm in study.arms:
        for outcome in arm.finished:
            folder = run_folder(out, arm.name, outcome.seed)
            write_run(folder, seed=outcome.seed, passes=arm.passes)
            if diagnosed:
                (folder / DIAGNOSIS).write_text(diagnosis_of(0.4 / arm.passes, outcome.seed).to_json())
    return study


def diagnosis_of(rate=0.4, seed=0, classes=3):
    """The diagnosis of a small network."""
    torch.manual_seed(seed)
    found = diagnose(mlp(rate, rate, classes=classes), [labelled(200, classes, seed)], passes=3, bins=10, seed=seed)
    command = "regdrop diagnose mlp --passes 3"
    return DiagnosisRecord("an MLP", "200 random items", command, "2026-01-02", "a machine", {"python": "3.11"}, found)
