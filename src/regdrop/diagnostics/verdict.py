"""What the numbers of a diagnosis mean for R-Drop, in plain words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from regdrop.diagnostics.consistency import ROUNDING, Consistency
from regdrop.diagnostics.layers import LayerNoise

Kind = Literal["no noise", "hidden noise", "little", "worthwhile"]

PAPER_ALPHAS = (0.1, 5.0)
TERM_SHARES = (0.1, 0.5)
UNDECIDED = 0.1  # share of pairs that disagree although their probabilities nearly agree


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do.

    Attributes:
        kind: "no noise": no dropout acts. "hidden noise": it acts, but the output does not depend on it yet.
            "little": sub-models nearly agree already, or the model has learned too little to tell. "worthwhile": there
            is something to reduce.
        text: the reasons, with numbers.
        alpha_low: lower end of the alphas to try; None unless worthwhile.
        alpha_high: upper end of them.
    """

    kind: Kind
    text: str
    alpha_low: float | None = None
    alpha_high: float | None = None


def judge(consistency: Consistency, layers: Sequence[LayerNoise], refusal: str | None) -> Verdict:
    """Say whether R-Drop has something to reduce, and which alpha to begin with.

        alpha = share * 2 NLL(sub-models) / KL,   share from 0.1 to 0.5, alpha kept within 0.1 to 5

    so that the term R-Drop adds, `alpha * KL`, is 10 % to 50 % of the task loss of its two passes. This is a heuristic.
    It rests on the paper's alphas (0.1 to 1 for language understanding, 0.6 for images, 0.7 for summarisation, 1 for
    language models, 5 for translation) and on its translation model: there, with alpha = 5, the KL falls from 0.7 to
    0.15 in training while the validation loss is about 4, which makes the share 0.45 at first and 0.1 at last. Where
    even alpha = 5 gives a share below 0.1, R-Drop can do little.

    Args:
        consistency: what was measured.
        layers: where the noise comes from, the strongest first; may be empty.
        refusal: why no noise acts, or None where some does.

    Source: alphas: section 3 of arXiv 2106.14448 and its scripts. KL: the authors, github.com/dropreg/R-Drop/issues/5.
        Loss, label-smoothed: read off Figure 2.
    """
    kl, nll = consistency.pairwise_kl, consistency.sub_nll
    if kl <= ROUNDING:
        return Verdict("no noise", refusal) if refusal else Verdict("hidden noise", _HIDDEN)
    low, high = (share * 2 * nll / kl for share in TERM_SHARES)
    if low > PAPER_ALPHAS[1]:
        return Verdict("little", _little(consistency))
    bounds = [min(max(alpha, PAPER_ALPHAS[0]), PAPER_ALPHAS[1]) for alpha in (low, high)]
    return Verdict("worthwhile", _worthwhile(consistency, layers, *bounds), *bounds)


_HIDDEN = (
    "Dropout acts, but the output does not depend on it yet: a head that starts at zero, or LoRA whose B is still "
    "zero, hides it. Train some steps and diagnose again."
)


def _little(found: Consistency) -> str:
    if found.pairwise_disagreement > UNDECIDED:
        return (
            f"The model is undecided: sub-models give nearly the same probabilities, yet choose differently "
            f"({_measured(found)}). It says little about R-Drop until it has learned; train some steps and diagnose "
            "again."
        )
    share = PAPER_ALPHAS[1] * found.pairwise_kl / (2 * found.sub_nll)
    return (
        f"R-Drop can do little here: sub-models nearly agree ({_measured(found)}). Even alpha = {PAPER_ALPHAS[1]:g}, "
        f"the largest the paper uses, would make the added term {share:.1%} of the task loss. More dropout would give "
        "it something to reduce."
    )


def _worthwhile(found: Consistency, layers: Sequence[LayerNoise], low: float, high: float) -> str:
    alphas = f"alpha = {low:.2g}" if f"{low:.2g}" == f"{high:.2g}" else f"alpha from {low:.2g} to {high:.2g}"
    source = f" The largest part comes from {_named(layers[0])}." if layers else ""
    return (
        f"R-Drop has something to reduce: sub-models differ ({_measured(found)}).{source} Begin with {alphas}. This is "
        f"a heuristic: it makes the added term {TERM_SHARES[0]:.0%} to {TERM_SHARES[1]:.0%} of the task loss "
        f"2 x {found.sub_nll:.3g}, within the paper's own range of {PAPER_ALPHAS[0]:g} to {PAPER_ALPHAS[1]:g}; choose "
        "by validation."
    )


def _measured(found: Consistency) -> str:
    return f"KL {found.pairwise_kl:.3g} nats an item, {found.pairwise_disagreement:.1%} of pairs choose another class"


def _named(layer: LayerNoise) -> str:
    return f"{repr(layer.layer) if layer.layer else 'the model itself'} ({layer.share:.0%} of the sum over layers)"
