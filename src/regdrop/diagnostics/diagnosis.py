"""Diagnosis: everything that was measured on one model, for machines and for people."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from textwrap import wrap

from regdrop.diagnostics.calibration import Calibration
from regdrop.diagnostics.consistency import ROUNDING, Consistency
from regdrop.diagnostics.layers import LayerNoise
from regdrop.diagnostics.verdict import Verdict

WIDTH = 100
LAYERS_SHOWN = 8

Row = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What dropout does to a model.

    Attributes:
        model: name of its class.
        items: valid items it was measured on.
        classes: how many an item chooses from.
        passes: sub-models drawn for each batch.
        seed: of their noise.
        sources: places that can draw noise.
        active_sources: those that do in train mode.
        consistency: between sub-models and with the full model.
        calibration: of the full model.
        layers: whose noise makes sub-models differ, the strongest first; empty where none acts.
        verdict: what it means.
    """

    model: str
    items: int
    classes: int
    passes: int
    seed: int
    sources: int
    active_sources: int
    consistency: Consistency
    calibration: Calibration
    layers: tuple[LayerNoise, ...]
    verdict: Verdict

    def to_json(self) -> str:
        """Every number, as a JSON object over several lines."""
        return json.dumps(asdict(self), indent=2, allow_nan=False) + "\n"

    def to_text(self) -> str:
        """A table and the verdict, for a terminal."""
        head = (
            f"{self.model}: {self.items:,} items of {self.classes:,} classes, {self.passes} sub-models (seed "
            f"{self.seed}), {self.active_sources} of {self.sources} noise sources act"
        )
        blocks = [wrap(head, WIDTH), _aligned(self.quantities()), _aligned(self._other_rows())]
        if self.layers:
            blocks.append(["KL with the noise of one layer alone:", *_aligned(_layer_rows(self.layers))])
        blocks.append(wrap(self.verdict.text, WIDTH, break_long_words=False))
        return "\n\n".join("\n".join(block) for block in blocks) + "\n"

    def quantities(self) -> tuple[Row, ...]:
        """What dropout does to the predictions: name, value and meaning of each quantity, as people read them."""
        return tuple(_consistency_rows(self.consistency))

    def _other_rows(self) -> list[Row]:
        found = self.consistency
        return [
            ("full model", f"{found.full_accuracy:.2%}", f"accuracy; NLL {found.full_nll:.4g}"),
            ("one sub-model", f"{found.sub_accuracy:.2%}", f"accuracy; NLL {found.sub_nll:.4g}"),
            ("average of sub-models", f"{found.average_accuracy:.2%}", f"accuracy; NLL {found.average_nll:.4g}"),
            (
                "calibration error",
                f"{self.calibration.ece:.2%}",
                f"of the full model; {len(self.calibration.bins)} bins",
            ),
        ]


def _consistency_rows(found: Consistency) -> list[Row]:
    constant = "undefined" if found.loss_gap_constant is None else _short(found.loss_gap_constant)
    return [
        ("KL between sub-models", _short(found.pairwise_kl), "symmetric, nats an item: what R-Drop makes small"),
        ("total variation", _short(found.total_variation), "between sub-models"),
        ("disagreement", f"{found.pairwise_disagreement:.2%}", "of pairs of sub-models choose another class"),
        ("disagreement with full", f"{found.sub_to_full_disagreement:.2%}", "of sub-models"),
        ("KL to the full model", _short(found.sub_to_full_kl), "from a sub-model"),
        ("average to full model", _short(found.average_to_full_kl), "KL from the average of the sub-models"),
        ("loss gap", _short(found.loss_gap), f"|NLL(full) - mean NLL(sub-models)|; by sqrt(KL): {constant}"),
        ("Jensen gap", _short(found.jensen_gap), "mean NLL(sub-models) - NLL(their average)"),
        (
            "ensemble gain",
            f"{100 * found.accuracy_gain:+.2f}",
            "points of accuracy: average of sub-models - full model",
        ),
    ]


def _layer_rows(layers: tuple[LayerNoise, ...]) -> list[Row]:
    rows = [_layer_row(layer) for layer in layers[:LAYERS_SHOWN]]
    rest = layers[LAYERS_SHOWN:]
    if rest:
        share = sum(layer.share for layer in rest)
        rows.append((f"{len(rest)} weaker ones", "", f"{share:.0%} of the sum"))
    return rows


def _layer_row(layer: LayerNoise) -> Row:
    rates = ", ".join(f"{rate:g}" for rate in layer.rates)
    return layer.layer or "the model itself", _short(layer.kl), f"{layer.share:.0%} of the sum; p = {rates}"


def _short(value: float) -> str:
    return "0" if value < ROUNDING else f"{value:.4g}"


def _aligned(rows: Sequence[Row]) -> list[str]:
    label, value = (max(len(row[column]) for row in rows) for column in (0, 1))
    return [f"  {row[0]:<{label}}  {row[1]:>{value}}  {row[2]}" for row in rows]
