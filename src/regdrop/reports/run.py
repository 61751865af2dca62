"""The report of one run, finished or not."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from regdrop.diagnostics.diagnosis import Diagnosis
from regdrop.diagnostics.record import DIAGNOSIS
from regdrop.errors import DataError
from regdrop.reports.alternatives import curve_words
from regdrop.reports.curves import LEARNING_RATE, ArmRecords, Clock, Quantity
from regdrop.reports.diagnosis import diagnosis_sections
from regdrop.reports.environment import environment_section
from regdrop.reports.page import KeyFigure, Page, Panel, Section, Table
from regdrop.reports.pictures.files import save_picture
from regdrop.reports.pictures.learning import CLOCKS, draw_panel, quantities_of, run_curves
from regdrop.reports.reading import SUMMARY, read_diagnosis, read_summary
from regdrop.reports.records import RECORDS, read_records
from regdrop.reports.writing import write_page
from regdrop.studies.metrics import PEAK_BYTES, SECONDS, Metric, metric, metric_order
from regdrop.training.recipe import load_recipe, recipe_text
from regdrop.training.summary import RunSummary

PICTURE = "curves.png"
NOTE = "The task loss is that of one pass; task loss and KL are running means over 1/25 of the run."


def report_run(out: Path) -> Path:
    """Write `run.md`, `run.html` and `curves.png` from what a run's folder holds; a diagnosis in it is shown, too.

    Args:
        out: the folder `train` wrote to. Of a run without summary the records so far are shown.

    Returns:
        The HTML file.

    Raises:
        DataError: the records, the summary or the diagnosis are missing or damaged.
    """
    summary = read_summary(out) if (out / SUMMARY).is_file() else None
    diagnosis = read_diagnosis(out).diagnosis if (out / DIAGNOSIS).is_file() else None
    arm = _arm(summary, out)
    return write_page(_unfinished(arm, out) if summary is None else _finished(summary, arm, diagnosis), out)


def draw_run(out: Path) -> Path:
    """Draw `curves.png` from the records of a finished run, without the rest of the report.

    Args:
        out: the folder `train` wrote to.

    Returns:
        The picture.

    Raises:
        DataError: the records or the summary are missing or damaged.
    """
    summary = read_summary(out)
    save_picture(run_curves(_arm(summary, out), _title(summary)), out / PICTURE)
    return out / PICTURE


def _finished(summary: RunSummary, arm: ArmRecords, diagnosis: Diagnosis | None) -> Page:
    title = _title(summary)
    command = f"regdrop train recipe.yaml --seed {summary.seed} --out NEW_FOLDER"
    sections = (
        Section("Outcome", tables=(_outcome(summary),), note=_best(summary)),
        _curves(arm, title),
        *(() if diagnosis is None else diagnosis_sections(diagnosis)),
        environment_section(command, "", "", summary.versions),
    )
    return Page(
        "run", title, f"{summary.steps} optimiser steps of the recipe {summary.recipe}.", _figures(summary), sections
    )


def _unfinished(arm: ArmRecords, out: Path) -> Page:
    """A run that failed, was interrupted or still goes on."""
    steps = arm.runs[0].steps
    last = f"the last record is of step {steps[-1].step}" if steps else "no step is recorded"
    statement = f"This run has no summary: it failed, was interrupted or is not done; {last}."
    sections = [Section("Outcome", statements=(statement,)), *([_curves(arm, arm.label)] if steps else [])]
    repeat = Section("Continue it", code=f"{_command(out)} --out . --resume")
    return Page("run", f"{out.resolve().name}: not finished", statement, (), (*sections, repeat))


def _command(out: Path) -> str:
    """What the recipe of a run begins with."""
    return recipe_text(out)[1].partition("\n")[0].removeprefix("# ")


def _arm(summary: RunSummary | None, out: Path) -> ArmRecords:
    rdrop = asdict(load_recipe(out).rdrop) if summary is None else summary.rdrop
    records = read_records(out)
    if summary is not None and not records.steps:
        raise DataError(f"{out / RECORDS} holds no step of the finished run; train again")
    return ArmRecords(_name(summary), rdrop["passes"] if rdrop["enabled"] else 1, (records,))


def _title(summary: RunSummary) -> str:
    return f"{summary.recipe}: {_name(summary)}, seed {summary.seed}"


def _name(summary: RunSummary | None) -> str:
    if summary is None:
        return "unfinished run"
    return f"R-Drop, alpha = {summary.rdrop['alpha']:g}" if summary.rdrop["enabled"] else "without R-Drop"


def _best(summary: RunSummary) -> str:
    signatures = "".join(f" {name}: {text}." for name, text in summary.signatures.items())
    return (
        f"Of the weights of step {summary.best_step}, which did best on the validation part; the test part was read "
        f"this once.{signatures}"
    )


def _figures(summary: RunSummary) -> tuple[KeyFigure, ...]:
    shown = [metric(key) for key in metric_order(summary.test)]
    costs = {SECONDS: summary.seconds, PEAK_BYTES: summary.peak_bytes}
    figures = [
        KeyFigure(f"{column.show(summary.test[column.key])} {column.unit}".strip(), f"test {column.name}")
        for column in shown
    ]
    return (*figures, *(_cost(column, value) for column, value in costs.items() if value is not None))


def _cost(column: Metric, value: float) -> KeyFigure:
    return KeyFigure(f"{column.show(value)} {column.unit}", column.name, "with the evaluations in between")


def _outcome(summary: RunSummary) -> Table:
    rows = tuple(
        (
            metric(key).title,
            *(metric(key).show(part[key]) if key in part else "-" for part in (summary.validation, summary.test)),
        )
        for key in metric_order([*summary.validation, *summary.test])
    )
    return Table("Metrics of the best weights", ("metric", "validation", "test"), rows)


def _curves(arm: ArmRecords, title: str) -> Section:
    shown = [each for each in [*quantities_of([arm]), LEARNING_RATE] if each.curves(arm, "step")]
    clocks: Sequence[Clock] = tuple(CLOCKS)
    panels = tuple(_curve(quantity, arm, clock) for quantity in shown for clock in clocks)
    return Section("Curves", panels=panels, picture=PICTURE, poster=partial(run_curves, arm, title), note=NOTE)


def _curve(quantity: Quantity, arm: ArmRecords, clock: Clock) -> Panel:
    draw = partial(draw_panel, quantity=quantity, arms=[arm], clock=clock)
    return Panel(f"{quantity.title}, {CLOCKS[clock]}", draw, curve_words(quantity, [arm], clock))
