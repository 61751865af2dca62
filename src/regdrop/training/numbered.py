"""Batches that know which items of the training data they hold, so that errors can name them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import Dataset

NUMBERS = "item_numbers"


@dataclass(frozen=True, slots=True)
class NumberedItems:
    """What a data loader fetched, and the places of these items in the training data."""

    numbers: list[int]
    fetched: Any


class Numbered(Dataset[Any]):
    """Data whose items are fetched together with their places.

    Args:
        data: indexable; fetched at once where it has `__getitems__`, else item by item.

    Example:
        >>> Numbered(["a", "b", "c"]).__getitems__([2, 0])
        NumberedItems(numbers=[2, 0], fetched=['c', 'a'])
    """

    def __init__(self, data: Any) -> None:
        self._data = data

    def __len__(self) -> int:
        return len(self._data)

    def __getitems__(self, numbers: list[int]) -> NumberedItems:
        fetch = getattr(self._data, "__getitems__", None)
        return NumberedItems(numbers, fetch(numbers) if fetch else [self._data[number] for number in numbers])


class NumberedCollate:
    """A collator whose batches hold the items' places as `item_numbers`, where they were fetched with them.

    Args:
        collate: turns what was fetched into the keyword arguments of the model.
    """

    def __init__(self, collate: Callable[[Any], dict[str, Any]]) -> None:
        self._collate = collate

    def __call__(self, fetched: Any) -> dict[str, Any]:
        """The batch."""
        if not isinstance(fetched, NumberedItems):
            return self._collate(fetched)
        return {**self._collate(fetched.fetched), NUMBERS: torch.tensor(fetched.numbers)}
