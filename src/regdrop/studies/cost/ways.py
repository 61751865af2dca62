"""The ways to take one training step that a plan or a benchmark compares."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Way:
    """One way to take a step.

    Attributes:
        name: how tables and the command line call it.
        options: what `attach` and a recipe's `rdrop` section take for it; None trains without R-Drop.
        cuts: micro-batches that the batch is cut into, one after another.
        exact: whether its gradient is that of R-Drop on the whole batch, not an estimate or another method's.
        demands: further options of `attach`, which make it an error where the way cannot be had for a model.
    """

    name: str
    options: Mapping[str, Any] | None = field(default_factory=dict)
    cuts: int = 1
    exact: bool = True
    demands: Mapping[str, Any] = field(default_factory=dict)

    def settings(self, size: int, key: str = "micro_batch") -> str:
        """What to add to a command for it.

        Args:
            size: of a micro-batch.
            key: of the recipe's `train` section that sets it.

        Example:
            >>> REPLAY.settings(64), HALVED.settings(64)
            ('--rdrop.mode replay', '--train.micro_batch 32')
        """
        words = [f"--rdrop.{key} {value}" for key, value in (self.options or {}).items()]
        return " ".join([*words, *([f"--train.{key} {size // self.cuts}"] if self.cuts > 1 else [])])


PLAIN, CONCAT, HALVED = Way("plain", None), Way("concat"), Way("halved", cuts=2)
SEQUENTIAL, REPLAY = (Way(mode, {"mode": mode}) for mode in ("sequential", "replay"))
SHARED = Way("shared", {"mode": "shared"}, demands={"share_prefix": True})
TWINS, HEAD = Way("twins", {"twin_fraction": 0.25}, exact=False), Way("head", {"mode": "head"}, exact=False)
WAYS = (PLAIN, CONCAT, HALVED, SEQUENTIAL, SHARED, REPLAY, TWINS, HEAD)
