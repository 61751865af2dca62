"""How the published implementations weigh the divergence: one row each, and what it depends on."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from regdrop.errors import InputError


@dataclass(frozen=True, slots=True)
class Batch:
    """The sizes a published alpha may depend on: samples, classes and valid tokens of one micro-batch."""

    micro_batch: int | None = None
    classes: int | None = None
    tokens: int | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and value < 1:
                raise InputError(f"{field.name}={value} must be at least 1")

    def need(self, name: str) -> int:
        """One of the sizes.

        Raises:
            InputError: it was not given.
        """
        value = getattr(self, name)
        if value is None:
            option = f"--{name.replace('_', '-')}"
            raise InputError(f"this convention depends on {name}; pass {name}=N ({option} N), of one micro-batch")
        return int(value)

    @property
    def items(self) -> int:
        """What a sum over the batch adds up: valid tokens where given, samples elsewhere."""
        return self.need("micro_batch" if self.tokens is None else "tokens")


@dataclass(frozen=True, slots=True)
class Convention:
    """How one implementation weighs the divergence.

    An implementation that computes `s (CE_1 + CE_2) + w (KL_12 + KL_21)` per item has, in this library's form
    `CE_1 + CE_2 + alpha/2 (KL_12 + KL_21)`, the strength `alpha = 2 w / s`.

    Attributes:
        coded: the loss as written there; mean and sum are over the micro-batch.
        published: the alpha its scripts or paper use, or None where users choose.
        factor: 2 w / s for alpha = 1, as words.
        scale: the same as a function of the batch.
        note: what else differs.
    """

    coded: str
    published: float | None
    factor: str
    scale: Callable[[Batch], float]
    note: str = ""


def _summed(times: float) -> dict[str, Any]:
    return {"factor": f"{times:g} * items", "scale": lambda batch: times * batch.items}


def _averaged_over_elements(times: float) -> dict[str, Any]:
    return {"factor": f"{times:g} / classes", "scale": lambda batch: times / batch.need("classes")}


def _per_item(times: float) -> dict[str, Any]:
    return {"factor": f"{times:g}", "scale": lambda _: times}


def _per_sample(times: float) -> dict[str, Any]:
    def scale(batch: Batch) -> float:
        return times if batch.tokens is None else times * batch.tokens / batch.need("micro_batch")

    return {"factor": f"{times:g} * items / micro_batch", "scale": scale}


_HALVED_CE = "mean (CE1 + CE2)/2 + a {kind} (KL + KL')/2"

CONVENTIONS = {
    "paper": Convention("CE1 + CE2 + a (KL + KL')/2 per item", None, **_per_item(1), note="Eq. 4; this library"),
    "readme-sum": Convention(
        _HALVED_CE.format(kind="sum"), None, **_summed(2), note="also the older form with CE1 alone"
    ),
    "readme-mean": Convention(
        _HALVED_CE.format(kind="mean"), None, **_averaged_over_elements(2), note="the mean also runs over classes"
    ),
    "readme-batchmean": Convention(
        _HALVED_CE.format(kind="batchmean"), None, **_per_sample(2), note="divides by samples, also for tokens"
    ),
    "fairseq-translation": Convention("sum (CE1 + CE2) + a sum (KL + KL')/2, over tokens", 5.0, **_per_item(1)),
    "fairseq-summarization": Convention(
        "sum (CE1 + CE2) + a sum (KL + KL')/2, over tokens",
        0.7,
        **_per_item(1),
        note="as published the task drops the option: no KL at all",
    ),
    "fairseq-lm": Convention(
        "sum (CE1 + CE2) + a sum (KL + KL')/2, over tokens",
        1.0,
        **_per_item(1),
        note="raises as published; the adaptive form's KL is not over the full vocabulary",
    ),
    "fairseq-roberta": Convention("sum (CE1 + CE2) + a sum (KL + KL')/2", 1.0, **_per_item(1)),
    "hf-bert": Convention("mean CE1 + mean CE2 + a sum (KL + KL')/2", 0.5, **_summed(1), note="a is hard-coded"),
    "hf-bert-regression": Convention("mean MSE1 + mean MSE2 + a mean MSE(1, 2)", 1.0, **_per_item(1)),
    "hf-roberta": Convention(
        "mean CE1 / 2 + a sum (KL + KL')/2", 0.7, **_summed(4), note="the second CE is never added"
    ),
    "hf-roberta-regression": Convention(
        "mean MSE1 / 2 + a mean MSE(1, 2)", 0.8, **_per_item(4), note="the second MSE is never added"
    ),
    "hf-roberta-token": Convention("mean CE1 + mean CE2 + a sum (KL + KL')", 0.05, **_summed(2)),
    "vit": Convention("mean CE1 + mean CE2 + a sum (KL + KL')", 0.3, **_summed(2), note="the 1/2 is missing"),
    "paddle-vit": Convention("mean (CE1 + CE2)/2 + a sum (KL + KL')/2", 0.3, **_summed(2)),
    "paddlenlp-none": Convention(
        _HALVED_CE.format(kind="sum"), None, **_summed(2), note="reduction='none', the default"
    ),
    "paddlenlp-mean": Convention(_HALVED_CE.format(kind="mean"), None, **_averaged_over_elements(2)),
    "paddlenlp-batchmean": Convention(_HALVED_CE.format(kind="batchmean"), None, **_per_sample(2)),
    "keras": Convention("mean CE over both passes + a mean (KL + KL')/4", None, **_per_item(1)),
    "bert4torch": Convention(
        "mean CE over both passes + a mean over items and classes (KL + KL')/4", None, **_averaged_over_elements(1)
    ),
    "trainer-snippet-sum": Convention(_HALVED_CE.format(kind="sum"), None, **_summed(2)),
    "trainer-snippet-mean": Convention(_HALVED_CE.format(kind="mean"), None, **_averaged_over_elements(2)),
    "trainer-snippet-batchmean": Convention(_HALVED_CE.format(kind="batchmean"), None, **_per_sample(2)),
}

NOT_A_DIVERGENCE = {"open-retrievals": "it applies kl_div to raw logits, which is no divergence and can be NaN"}
