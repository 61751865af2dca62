"""The options that `attach` and `paired_forward` take, listed once and refused where they cannot be run."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from regdrop.errors import InputError, nearest
from regdrop.losses.inputs import check_smoothing
from regdrop.losses.penalty import PenaltyName

ModeName = Literal["concat", "sequential", "shared", "head", "replay"]
TWIN_MODES: tuple[ModeName, ...] = ("concat", "sequential")
# Modes whose passes are rows of one batch: one draw for the batch would not differ.
PER_ROW = frozenset({"concat", "shared", "head"})


@dataclass(frozen=True, slots=True, eq=False)
class PassOptions:
    """How the passes of a step run, and what their loss takes; `attach` says what each option does.

    Attributes:
        passes: K >= 2.
        every: R-Drop acts in every k-th step only.
        mode: how the passes run.
        twin_fraction: the share of the rows that the second pass takes.
        pass_dropout: the dropout rate of every pass; None: the model's own rates.
        penalty: what pulls the passes together.
        share_prefix: run what precedes the noise once, and where that ends.
        shared: keywords not to repeat although their dimension 0 has the batch size.
        label_smoothing: see `r_drop_loss`; for classification heads.
        class_weight: see `r_drop_loss`; for classification heads.

    Raises:
        InputError: an option is out of range, or unknown.

    Example:
        >>> PassOptions(passes=1)
        Traceback (most recent call last):
            ...
        regdrop.errors.InputError: passes=1: R-Drop compares at least two; use passes=2
    """

    passes: int = 2
    every: int = 1
    mode: ModeName = "concat"
    twin_fraction: float = 1.0
    pass_dropout: tuple[float, ...] | None = None
    penalty: PenaltyName = "kl"
    share_prefix: bool | str = False
    shared: Collection[str] = ()
    label_smoothing: float = 0.0
    class_weight: Tensor | None = None

    def __post_init__(self) -> None:
        if self.passes < 2:
            raise InputError(f"passes={self.passes}: R-Drop compares at least two; use passes=2")
        if self.every < 1:
            raise InputError(f"every={self.every} must be at least 1; 1 is R-Drop in every step")
        if self.mode not in get_args(ModeName):
            raise InputError(f"unknown mode {self.mode!r}: {nearest(self.mode, get_args(ModeName))}")
        if self.penalty not in get_args(PenaltyName):
            raise InputError(f"unknown penalty {self.penalty!r}: {nearest(self.penalty, get_args(PenaltyName))}")
        _check_twins(self)
        _check_rates(self)
        if self.share_prefix and not self.per_row:
            raise InputError(
                f"share_prefix={self.share_prefix!r} goes with the passes in one batch; mode={self.runs!r} runs them "
                "one by one, so leave one of the two out"
            )
        check_smoothing(self.label_smoothing)

    def twin_rows(self, size: int) -> int:
        """How many of so many rows every pass takes.

        Example:
            >>> [PassOptions(twin_fraction=0.25).twin_rows(size) for size in (1, 4, 64)]
            [1, 1, 16]
        """
        return max(1, round(self.twin_fraction * size))

    @property
    def per_row(self) -> bool:
        """Whether only noise that differs between the rows of one batch makes the passes differ."""
        return self.runs in PER_ROW

    @property
    def runs(self) -> ModeName:
        """The mode that runs: "concat" is "sequential" at different rates, and "shared" with a shared prefix."""
        if self.mode != "concat":
            return self.mode
        if self.pass_dropout is not None:
            return "sequential"
        return "shared" if self.share_prefix else "concat"

    @property
    def insists(self) -> bool:
        """Whether a prefix that cannot be shared is an error."""
        return self.mode == "head" or self.share_prefix not in (False, "auto")

    @property
    def named_module(self) -> str | None:
        """Where the passes part, if the user says it."""
        named = isinstance(self.share_prefix, str) and self.share_prefix != "auto"
        return str(self.share_prefix) if named else None


def _check_twins(options: PassOptions) -> None:
    given = f"twin_fraction={options.twin_fraction}"
    if not 0 < options.twin_fraction <= 1:
        raise InputError(f"{given} must be more than 0 and at most 1; 1 runs every row in every pass")
    if options.twin_fraction == 1:
        return
    if options.passes != 2:
        raise InputError(f"{given} is for two passes, but passes={options.passes}; use passes=2")
    if options.runs not in TWIN_MODES:
        raise InputError(
            f"{given} does not go with mode={options.runs!r}; use mode={' or '.join(map(repr, TWIN_MODES))}"
        )
    if options.penalty == "full_kl":
        raise InputError(
            f"{given} does not go with penalty='full_kl', which compares no row with its twin; leave one of them out"
        )


def _check_rates(options: PassOptions) -> None:
    rates = options.pass_dropout
    if rates is None:
        return
    if not all(0 <= rate < 1 for rate in rates) or not any(rates):
        raise InputError(f"pass_dropout={rates}: a dropout rate is at least 0 and less than 1, and one is more than 0")
    if len(rates) != options.passes:
        raise InputError(f"pass_dropout={rates} has {len(rates)} rates, but passes={options.passes}; give one a pass")
    if options.runs != "sequential":
        raise InputError(
            f"pass_dropout={rates} runs the passes one by one, but mode={options.mode!r}; use mode='sequential'"
        )
    if options.twin_fraction != 1:
        raise InputError(
            f"pass_dropout={rates} needs all rows at every rate, but twin_fraction={options.twin_fraction}; use 1"
        )
