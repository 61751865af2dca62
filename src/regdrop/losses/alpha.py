"""What alpha means in the published implementations, and its value in this library's one convention."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from regdrop.errors import InputError, UnsupportedError, nearest


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

_NOT_A_DIVERGENCE = {"open-retrievals": "it applies kl_div to raw logits, which is no divergence and can be NaN"}


def paper_alpha(
    alpha: float,
    convention: str,
    *,
    micro_batch: int | None = None,
    classes: int | None = None,
    tokens: int | None = None,
) -> float:
    """Translate the alpha of a published implementation into this library's (the paper's, Eq. 4).

        s (CE_1 + CE_2) + w (KL_12 + KL_21) per item   ->   alpha = 2 w / s

    Args:
        alpha: the weight as the other implementation takes it.
        convention: a name of `CONVENTIONS`, such as "vit", "hf-bert", "readme-sum", "fairseq-translation".
        micro_batch: samples a forward pass of one process, before doubling: what a sum over the batch depends on.
        classes: number of classes or vocabulary size: what a mean over all elements depends on.
        tokens: valid tokens of a micro-batch, for token-level losses.

    Returns:
        The alpha to pass to `r_drop_loss` or `attach` for the same balance of task loss and divergence.

    Raises:
        InputError: an unknown convention, a size it depends on is missing, or a size is below 1.
        UnsupportedError: what that implementation computes is not a divergence.

    Source: the published code; docs/conventions.md lists each row with its formula.

    Example:
        >>> paper_alpha(0.3, "vit", micro_batch=32)
        19.2
        >>> paper_alpha(4, "keras")
        4.0
    """
    if convention in _NOT_A_DIVERGENCE:
        raise UnsupportedError(f"{convention} has no equivalent alpha: {_NOT_A_DIVERGENCE[convention]}")
    if convention not in CONVENTIONS:
        raise InputError(f"unknown convention {convention!r}: {nearest(convention, CONVENTIONS)}")
    return _rounded(alpha * CONVENTIONS[convention].scale(Batch(micro_batch, classes, tokens)))


def alpha_table(
    alpha: float | None = None,
    *,
    micro_batch: int | None = None,
    classes: int | None = None,
    tokens: int | None = None,
) -> list[dict[str, str | float | None]]:
    """Every convention with its published alpha (or the given one) and what that is here.

    Args:
        alpha: the weight to translate in every row; by default each row's published one, or 1.
        micro_batch: as in `paper_alpha`.
        classes: as in `paper_alpha`.
        tokens: as in `paper_alpha`.

    Returns:
        One dict a convention: name, coded, alpha, here (None where a size is missing), factor, note.

    Example:
        >>> rows = {row["name"]: row for row in alpha_table(micro_batch=32)}
        >>> rows["vit"]["alpha"], rows["vit"]["here"], rows["readme-mean"]["here"]
        (0.3, 19.2, None)
    """
    batch = Batch(micro_batch, classes, tokens)
    return [
        {
            "name": name,
            "coded": row.coded,
            "alpha": (value := next(a for a in (alpha, row.published, 1.0) if a is not None)),
            "here": _translated(value, row, batch),
            "factor": row.factor,
            "note": row.note,
        }
        for name, row in CONVENTIONS.items()
    ]


def _translated(alpha: float, row: Convention, batch: Batch) -> float | None:
    try:
        return _rounded(alpha * row.scale(batch))
    except InputError:
        return None


def _rounded(value: float) -> float:
    """Free of the last binary digits, so that 0.3 * 64 prints as 19.2."""
    return float(f"{value:.12g}")
