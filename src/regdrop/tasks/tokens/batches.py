"""Batches of items of like length, as large as a number of tokens allows."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from regdrop.errors import RecipeError


class TokenBatches(Sampler[list[int]]):
    """Batches that hold at most `max_tokens` tokens when all their items are padded to the longest.

    Items are sorted by length, with ties in random order, and cut into batches, which come in random order. An epoch's
    batches depend on the seed and the epoch alone; how many there are, on the lengths alone.

    Args:
        lengths: tokens of each item, padding excluded.
        max_tokens: longest item times items, at most, in every batch.
        seed: of the order.

    Raises:
        RecipeError: an item is longer than `max_tokens`.

    Source: what fairseq calls --max-tokens.

    Example:
        >>> batches = TokenBatches([2, 9, 3, 2, 8], max_tokens=18, seed=0)
        >>> sorted(sorted(batch) for batch in batches), len(batches)
        ([[0, 2, 3], [1, 4]], 2)
    """

    def __init__(self, lengths: Sequence[int] | NDArray[np.int64], max_tokens: int, seed: int) -> None:
        self.lengths = np.asarray(lengths)
        self.max_tokens = max_tokens
        self.seed = seed
        if len(self.lengths) and self.lengths.max() > max_tokens:
            raise RecipeError(
                f"an item has {self.lengths.max()} tokens, more than train.max_tokens {max_tokens}; raise it"
            )
        self._cuts = _cuts(np.sort(self.lengths), max_tokens)
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Draw the order of an epoch when it is iterated next."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self._cuts) + 1

    def __iter__(self) -> Iterator[list[int]]:
        random = np.random.default_rng((self.seed, self.epoch))
        by_length = np.lexsort((random.random(len(self.lengths)), self.lengths))
        batches = np.split(by_length, self._cuts)
        for chosen in random.permutation(len(batches)):
            yield batches[chosen].tolist()


def _cuts(ascending: NDArray[np.int64], max_tokens: int) -> list[int]:
    """Where a batch begins among the sorted lengths, but for the first."""
    cuts: list[int] = []
    start = 0
    for at, length in enumerate(ascending.tolist()):
        if (at + 1 - start) * length > max_tokens:
            cuts.append(at)
            start = at
    return cuts
