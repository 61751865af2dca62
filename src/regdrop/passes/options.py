"""The options that `attach` and `paired_forward` take, listed once and refused where they cannot be run."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from regdrop.errors import InputError, nearest
from regdrop.losses.inputs import check_smoothing

ModeName = Literal["concat", "sequential", "replay"]
PER_ROW = frozenset({"concat"})  # modes whose passes are rows of one batch: one draw for the batch would not differ


@dataclass(frozen=True, slots=True, eq=False)
class PassOptions:
    """How the passes of a step run, and what their loss takes; `attach` says what each option does.

    Attributes:
        passes: K >= 2.
        every: R-Drop acts in every k-th step only.
        mode: how the passes run.
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
        check_smoothing(self.label_smoothing)

    @property
    def per_row(self) -> bool:
        """Whether only noise that differs between the rows of one batch makes the passes differ."""
        return self.mode in PER_ROW
