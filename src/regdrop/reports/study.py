"""The report of a study: a line or two for the terminal, a Markdown page, an HTML page and their pictures."""

from pathlib import Path

from regdrop.reports.consistency import read_diagnoses
from regdrop.reports.curves import ArmRecords
from regdrop.reports.records import read_records
from regdrop.reports.study_page import statements, study_page, title
from regdrop.reports.tables import arm_table, contrast_table
from regdrop.reports.writing import write_page
from regdrop.studies.jobs import run_folder
from regdrop.studies.result import ArmResult, StudyResult


def report_study(study: StudyResult, out: Path) -> str:
    """Write `study.md`, `study.html` and their pictures from a study's result and the records of its runs.

    Args:
        study: with at least one run finished.
        out: the folder of the study; diagnoses beside the records of its runs are shown as well.

    Returns:
        The same for a terminal: tables, findings, where the files are, and the line that adds R-Drop to any training.

    Raises:
        DataError: the records of a finished run, or its diagnosis, are missing or damaged.
    """
    arms = [_records(arm, out) for arm in study.arms]
    write_page(study_page(study, arms, read_diagnoses(study, out)), out)
    return _text(study, out)


def _records(arm: ArmResult, out: Path) -> ArmRecords:
    runs = tuple(read_records(run_folder(out, arm.name, outcome.seed)) for outcome in arm.finished)
    return ArmRecords(arm.label, arm.passes, runs)


def _text(study: StudyResult, out: Path) -> str:
    alpha = study.alpha
    parts = [
        title(study),
        arm_table(study).text("simple"),
        contrast_table(study).text("simple"),
        "\n".join(statements(study)),
        f"In {out}: study.html, study.md, study.json, pictures, the records of every run",
        *([f"Add R-Drop to your own training:\n  regdrop.attach(model, alpha={alpha})"] if alpha else []),
    ]
    return "\n\n".join(parts)
