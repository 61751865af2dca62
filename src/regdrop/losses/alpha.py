"""What alpha means in the published implementations, and its value in this library's one convention."""

from regdrop.errors import InputError, UnsupportedError, nearest
from regdrop.losses.conventions import CONVENTIONS, NOT_A_DIVERGENCE, Batch, Convention


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
    if convention in NOT_A_DIVERGENCE:
        raise UnsupportedError(f"{convention} has no equivalent alpha: {NOT_A_DIVERGENCE[convention]}")
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
