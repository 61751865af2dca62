"""The picture of one run."""

from pathlib import Path

from regdrop.reports.curves import ArmRecords
from regdrop.reports.pictures import run_curves, save_picture
from regdrop.reports.records import read_records
from regdrop.training.summary import RunSummary

PICTURE = "curves.png"


def report_run(summary: RunSummary, out: Path) -> Path:
    """Draw `curves.png` from the records of a finished run.

    Args:
        summary: as `train` returns it.
        out: the folder `train` wrote to.

    Returns:
        The picture.

    Raises:
        DataError: the records are missing or damaged.
    """
    rdrop = summary.rdrop
    name = f"R-Drop, alpha = {rdrop['alpha']:g}" if rdrop["enabled"] else "without R-Drop"
    arm = ArmRecords(name, rdrop["passes"] if rdrop["enabled"] else 1, (read_records(out),))
    save_picture(run_curves(arm, f"{summary.recipe}: {name}, seed {summary.seed}"), out / PICTURE)
    return out / PICTURE
