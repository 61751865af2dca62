"""What the report of a study says."""

from collections.abc import Sequence
from functools import partial

from regdrop.reports.alternatives import curve_words, dot_words
from regdrop.reports.consistency import Diagnoses, consistency_section
from regdrop.reports.curves import ArmRecords, Clock, Quantity
from regdrop.reports.environment import environment_section
from regdrop.reports.page import KeyFigure, Page, Panel, Section
from regdrop.reports.pictures.dots import draw_dots
from regdrop.reports.pictures.learning import CLOCKS, draw_panel, learning_curves, quantities_of
from regdrop.reports.pictures.sweep import draw_sweep
from regdrop.reports.tables import arm_table, contrast_table, grid_table, interval, versus
from regdrop.studies.findings import count_seeds
from regdrop.studies.metrics import COSTS, PEAK_BYTES, SECONDS, Metric, metric
from regdrop.studies.result import Contrast, StudyResult
from regdrop.studies.statistics import spread

MOST_FIGURES = 4
NOTE = (
    "Mean ± sample standard deviation over seeds, on the test part, read once with the weights that did best on the "
    "validation part. Differences are paired by seed; intervals are Student's t; p is the exact sign-flip test. "
    "Neither is corrected for looking at several metrics or arms."
)
CURVE_NOTE = (
    "Thin lines: one seed. Thick: mean. Band: ± 1 standard deviation of the seeds. The task loss is that of one pass; "
    "task loss and KL are running means over 1/25 of a run. Runs are averaged at equal steps on either clock."
)


def study_page(study: StudyResult, arms: Sequence[ArmRecords], diagnoses: Diagnoses) -> Page:
    """Put a report together.

    Args:
        study: its result.
        arms: the records of each arm, in the order of the study; no runs where all failed.
        diagnoses: of its runs, by arm; may be empty.
    """
    lead = f"{study.about}; recipe {study.recipe}, {_seeds(study)}, finished {study.date}."
    sections = [
        Section("Findings", statements=statements(study)),
        Section("Results", tables=(arm_table(study), contrast_table(study)), note=NOTE),
        *_factor_sections(study),
        *([_curves(study, arms)] if any(arm.runs for arm in arms) else []),
        _dots(study),
        *consistency_section(study, diagnoses),
        environment_section(study.command, study.date, study.machine, study.versions),
    ]
    return Page("study", title(study), f"{lead[0].upper()}{lead[1:]}", _figures(study), tuple(sections))


def title(study: StudyResult) -> str:
    """Headline of a study."""
    return f"{study.recipe}: {study.study}"


def statements(study: StudyResult) -> tuple[str, ...]:
    """What failed, what the seeds show, what it cost, and what to mind."""
    choice = (study.choice.finding,) if study.choice else ()
    found = (contrast.finding for contrast in study.contrasts)
    return (*study.failures, *choice, *found, *study.costs, *study.caveats)


def _figures(study: StudyResult) -> tuple[KeyFigure, ...]:
    """The differences in the first metric, those of the chosen arm first."""
    chosen = study.choice.arm if study.choice else None
    first = study.metrics[:1]
    contrasts = [contrast for contrast in study.contrasts if contrast.metric in first]
    shown = sorted(contrasts, key=lambda contrast: contrast.treatment != chosen)[:MOST_FIGURES]
    return (*(_difference(study, contrast) for contrast in shown), *(_cost(study, contrast) for contrast in shown[:1]))


def _difference(study: StudyResult, contrast: Contrast) -> KeyFigure:
    column, found = metric(contrast.metric), contrast.difference
    value = f"{column.show(found.mean, '+')} {column.step}".strip()
    detail = f"95 % interval {interval(contrast)}, {count_seeds(len(found.seeds))}"
    return KeyFigure(value, f"{column.name}: {versus(study, contrast)}", detail)


def _cost(study: StudyResult, contrast: Contrast) -> KeyFigure:
    arms = [study.arm(name) for name in (contrast.treatment, contrast.reference)]
    treatment, reference = (spread(list(arm.values(SECONDS.key).values())).mean for arm in arms)
    detail = f"{SECONDS.show(treatment)} s against {SECONDS.show(reference)} s a run"
    return KeyFigure(f"{treatment / reference:.2f} x", f"training time: {arms[0].label} / {arms[1].label}", detail)


def _factor_sections(study: StudyResult) -> list[Section]:
    shown = [metric(key) for key in study.metrics if key not in COSTS]
    if len(study.factors) == 2:
        return [Section("Over the grid", tables=tuple(grid_table(study, column.key) for column in shown))]
    if len(study.factors) != 1:
        return []
    panels = tuple(_sweep(study, column) for column in shown)
    note = "Dots: one seed. Line: mean. Band: ± 1 standard deviation."
    return [Section(f"Against {study.factors[0]}", panels=panels, picture="sweep.png", note=note)]


def _sweep(study: StudyResult, column: Metric) -> Panel:
    points = [(arm.point[0], arm.values(column.key)) for arm in study.arms if len(arm.point) == 1]
    words = dot_words(column, [(f"{study.factors[0]} {at:g}", values) for at, values in points])
    draw = partial(draw_sweep, metric=column, factor=study.factors[0], points=points)
    return Panel(f"Test {column.name}", draw, words)


def _curves(study: StudyResult, arms: Sequence[ArmRecords]) -> Section:
    panels = tuple(_curve(quantity, arms, clock) for quantity in quantities_of(arms) for clock in CLOCKS)
    poster = partial(learning_curves, arms, title(study))
    return Section("Learning curves", panels=panels, picture="curves.png", poster=poster, note=CURVE_NOTE)


def _curve(quantity: Quantity, arms: Sequence[ArmRecords], clock: Clock) -> Panel:
    draw = partial(draw_panel, quantity=quantity, arms=arms, clock=clock)
    return Panel(f"{quantity.title}, {CLOCKS[clock]}", draw, curve_words(quantity, arms, clock), legend=True)


def _dots(study: StudyResult) -> Section:
    panels = tuple(_dot_panel(study, metric(key)) for key in study.metrics if key != PEAK_BYTES.key)
    note = "A dot a run, a bar the mean of an arm; grey lines join the runs of one seed. The last picture is the cost."
    return Section("Every seed", panels=panels, picture="seeds.png", note=note)


def _dot_panel(study: StudyResult, column: Metric) -> Panel:
    arms = [(arm.label, arm.values(column.key)) for arm in study.arms]
    title = column.name.capitalize() if column is SECONDS else f"Test {column.name}"
    return Panel(title, partial(draw_dots, metric=column, arms=arms), dot_words(column, arms))


def _seeds(study: StudyResult) -> str:
    return count_seeds(max((len(arm.outcomes) for arm in study.arms), default=0))
