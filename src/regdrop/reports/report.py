"""The report of a folder, whatever it holds."""

from pathlib import Path

from regdrop.diagnostics.record import DIAGNOSIS
from regdrop.errors import DataError
from regdrop.reports.diagnosis import report_diagnosis
from regdrop.reports.reading import SUMMARY, read_diagnosis
from regdrop.reports.records import RECORDS
from regdrop.reports.run import report_run
from regdrop.reports.study import report_study
from regdrop.studies.result import STUDY, read_study


def report(folder: Path) -> Path:
    """Write the report of a study, a run or a diagnosis into its folder, from records alone.

    Args:
        folder: as `regdrop study`, `regdrop compare`, `regdrop train` or `regdrop diagnose --out` wrote it.

    Returns:
        The HTML file; the Markdown and PNG files lie beside it.

    Raises:
        DataError: nothing of these is there, or it is damaged.
    """
    if (folder / STUDY).is_file():
        report_study(read_study(folder), folder)
        return folder / "study.html"
    if (folder / SUMMARY).is_file() or (folder / RECORDS).is_file():
        return report_run(folder)
    if (folder / DIAGNOSIS).is_file():
        return report_diagnosis(read_diagnosis(folder), folder)
    raise DataError(
        f"{folder} holds no {STUDY}, {SUMMARY}, {RECORDS} or {DIAGNOSIS}; "
        "pass the folder of a study, a run or a diagnosis"
    )
