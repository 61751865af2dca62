"""The report of a diagnosis."""

from functools import partial
from pathlib import Path

from regdrop.diagnostics.calibration import Calibration
from regdrop.diagnostics.diagnosis import Diagnosis
from regdrop.diagnostics.record import DiagnosisRecord
from regdrop.reports.alternatives import layer_words, reliability_words
from regdrop.reports.environment import environment_section
from regdrop.reports.page import KeyFigure, Page, Panel, Section, Table
from regdrop.reports.pictures.layers import draw_layers
from regdrop.reports.pictures.reliability import draw_reliability
from regdrop.reports.writing import write_page

LAYERS_DRAWN = 12
BIN_NOTE = (
    "A bar is the accuracy in a bin of confidence, its dot the mean confidence there: bars on the dashed line are "
    "calibrated, bars below their dot overrate themselves. The stronger its colour, the more items."
)
LAYER_NOTE = "The KL between two draws with the noise of one layer alone. Noises add up only roughly."


def report_diagnosis(record: DiagnosisRecord, out: Path) -> Path:
    """Write `diagnosis.md`, `diagnosis.html` and their picture.

    Args:
        record: what was found.
        out: folder that is there.

    Returns:
        The HTML file.
    """
    return write_page(diagnosis_page(record), out)


def diagnosis_page(record: DiagnosisRecord) -> Page:
    """Put a report together."""
    found = record.diagnosis
    lead = (
        f"{record.model}, on {record.data}: {found.items:,} items of {found.classes:,} classes, {found.passes} "
        f"sub-models (seed {found.seed}), {found.active_sources} of {found.sources} noise sources act."
    )
    environment = environment_section(record.command, record.date, record.machine, record.versions)
    sections = (*diagnosis_sections(found), environment)
    return Page("diagnosis", "Will R-Drop help this model?", lead, _figures(found), sections)


def diagnosis_sections(found: Diagnosis) -> tuple[Section, ...]:
    """Verdict, numbers, layers and calibration."""
    numbers = Section("What was measured", tables=(_quantities(found), _models(found)))
    verdict = Section("Verdict", statements=(found.verdict.text,))
    return (verdict, numbers, *([_layers(found)] if found.layers else []), _calibration(found.calibration))


def _figures(found: Diagnosis) -> tuple[KeyFigure, ...]:
    low, high = found.verdict.alpha_low, found.verdict.alpha_high
    alphas = () if low is None or high is None else (KeyFigure(_span(low, high), "alpha to try", "a heuristic"),)
    consistency = found.consistency
    return (
        KeyFigure(f"{consistency.pairwise_kl:.4g}", "KL between sub-models", "nats an item"),
        KeyFigure(f"{consistency.pairwise_disagreement:.2%}", "disagreement", "pairs that choose another class"),
        KeyFigure(f"{found.calibration.ece:.2%}", "calibration error", "of the full model"),
        *alphas,
    )


def _span(low: float, high: float) -> str:
    return f"{low:.2g}" if f"{low:.2g}" == f"{high:.2g}" else f"{low:.2g} to {high:.2g}"


def _quantities(found: Diagnosis) -> Table:
    return Table("What dropout does to the predictions", ("quantity", "value", "meaning"), found.quantities(), "left")


def _models(found: Diagnosis) -> Table:
    each = found.consistency
    rows = (
        ("full model", each.full_accuracy, each.full_nll),
        ("one sub-model", each.sub_accuracy, each.sub_nll),
        ("average of sub-models", each.average_accuracy, each.average_nll),
    )
    shown = tuple((name, f"{accuracy:.2%}", f"{nll:.4g}") for name, accuracy, nll in rows)
    return Table("Full model, sub-models and their average", ("predictions", "accuracy", "NLL (nats)"), shown)


def _layers(found: Diagnosis) -> Section:
    layers = found.layers[:LAYERS_DRAWN]
    panel = Panel("Strongest layers", partial(draw_layers, layers=layers), layer_words(layers))
    rows = tuple(
        (
            layer.layer or "the model itself",
            f"{layer.kl:.4g}",
            f"{layer.share:.0%}",
            str(layer.sources),
            ", ".join(f"{rate:g}" for rate in layer.rates),
        )
        for layer in found.layers
    )
    table = Table("The noise of each layer alone", ("layer", "KL (nats)", "share", "places", "rates"), rows)
    return Section("Which layers", tables=(table,), panels=(panel,), picture="layers.png", note=LAYER_NOTE)


def _calibration(calibration: Calibration) -> Section:
    panel = Panel("Reliability", partial(draw_reliability, calibration=calibration), reliability_words(calibration))
    rows = tuple(
        (f"{part.low:.3g} to {part.high:.3g}", f"{part.items:,}", f"{part.confidence:.2%}", f"{part.accuracy:.2%}")
        for part in calibration.bins
        if part.confidence is not None and part.accuracy is not None
    )
    table = Table("Bins of confidence", ("confidence", "items", "mean confidence", "accuracy"), rows)
    return Section("Calibration", (), (table,), (panel,), picture="reliability.png", note=BIN_NOTE)
