"""The report of a comparison: its text for the terminal, its Markdown page and its picture."""

from pathlib import Path

from regdrop.checkpoints.atomic import atomic_path
from regdrop.reports.curves import ArmRecords
from regdrop.reports.pictures import learning_curves, save_picture
from regdrop.reports.records import read_records
from regdrop.reports.tables import Format, arm_table, contrast_table
from regdrop.studies.comparison import ArmResult, Comparison
from regdrop.studies.jobs import run_folder

NOTE = (
    "Mean ± sample standard deviation over seeds, on the test part, read once with the weights that did best on the "
    "validation part. Differences are paired by seed; intervals are Student's t; p is the exact sign-flip test. "
    "Neither is corrected for looking at several metrics."
)


def report_comparison(comparison: Comparison, out: Path) -> str:
    """Write `comparison.md` and `curves.png` from a comparison and the records of its runs.

    Args:
        comparison: as `compare` returns it, with at least one run finished.
        out: the folder `compare` wrote to.

    Returns:
        The same for a terminal: tables, findings, where the files are, and the line that adds R-Drop to any training.

    Raises:
        DataError: the records of a finished run are missing or damaged.
    """
    arms = [_records(arm, out) for arm in comparison.arms if arm.finished]
    save_picture(learning_curves(arms, f"{_title(comparison)}, alpha = {comparison.alpha:g}"), out / "curves.png")
    with atomic_path(out / "comparison.md") as beside:
        beside.write_text(_page(comparison), encoding="utf-8")
    return _text(comparison, out)


def _records(arm: ArmResult, out: Path) -> ArmRecords:
    runs = tuple(read_records(run_folder(out, arm.name, outcome.seed)) for outcome in arm.finished)
    return ArmRecords(arm.label, arm.passes, runs)


def _text(comparison: Comparison, out: Path) -> str:
    parts = [
        _title(comparison),
        *_tables(comparison, "simple"),
        "\n".join(_statements(comparison)),
        f"In {out}: comparison.md, comparison.json, curves.png, the records of every run",
        f"Add R-Drop to your own training:\n  regdrop.attach(model, alpha={comparison.alpha})",
    ]
    return "\n\n".join(parts)


def _page(comparison: Comparison) -> str:
    parts = [
        f"# {_title(comparison)}",
        *_tables(comparison, "github"),
        NOTE,
        "\n".join(f"- {statement}" for statement in _statements(comparison)),
        "![Validation metrics, task loss and KL against steps and seconds](curves.png)",
        f"To repeat: `{comparison.command}` ({comparison.date}; {comparison.machine}; {_versions(comparison)}).",
    ]
    return "\n\n".join(parts) + "\n"


def _title(comparison: Comparison) -> str:
    return f"{comparison.recipe}: with and without R-Drop"


def _tables(comparison: Comparison, form: Format) -> list[str]:
    return [arm_table(comparison, form), contrast_table(comparison, form)]


def _statements(comparison: Comparison) -> list[str]:
    """What the seeds show, what it cost, what to mind, and what failed."""
    found = [contrast.finding for contrast in comparison.contrasts]
    return [*found, *comparison.costs, *comparison.caveats, *comparison.failures]


def _versions(comparison: Comparison) -> str:
    return ", ".join(f"{name} {version}" for name, version in comparison.versions.items())
