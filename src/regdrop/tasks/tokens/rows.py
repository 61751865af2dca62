"""Many texts as token ids, in one flat array."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, slots=True)
class TokenRows:
    """Rows of token ids, each of its own length: a twentieth of the memory of lists of Python integers.

    Attributes:
        values: the ids of all rows, one after the other, int32.
        ends: where each row ends in `values`, int64 `(rows,)`.

    Example:
        >>> rows = TokenRows.of([[5, 6], [], [7]])
        >>> len(rows), rows.lengths.tolist(), rows[0]
        (3, [2, 0, 1], tensor([5, 6]))
    """

    values: NDArray[np.int32]
    ends: NDArray[np.int64]

    @classmethod
    def of(cls, rows: Iterable[Sequence[int]]) -> "TokenRows":
        """Pack rows of ids."""
        arrays = [np.asarray(row, dtype=np.int32) for row in rows]
        lengths = np.fromiter((len(array) for array in arrays), dtype=np.int64, count=len(arrays))
        return cls(np.concatenate(arrays) if arrays else np.zeros(0, np.int32), lengths.cumsum())

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each row, int64 `(rows,)`."""
        return np.diff(self.ends, prepend=0)

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: int) -> Tensor:
        """The ids of one row, int64."""
        start = self.ends[index - 1] if index else 0
        return torch.from_numpy(self.values[start : self.ends[index]].astype(np.int64))
