"""A model with labelled batches, whatever they come from."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import nn

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Subject:
    """What is to be diagnosed.

    Attributes:
        model: with its weights.
        batches: labelled, as `regdrop.diagnose` reads them; may be read once.
        count: how many batches there are.
        name: of the model, for people.
        data: of the data, for people.
    """

    model: nn.Module
    batches: Iterable[Any]
    count: int
    name: str
    data: str


def lazy_batches(items: Sequence[Item], size: int, most: int, make: Callable[[Sequence[Item]], Any]) -> Iterator[Any]:
    """Batches of `size` items, at most `most`, each made when it is asked for.

    Example:
        >>> list(lazy_batches([1, 2, 3], 2, 5, sum)), list(lazy_batches([1, 2, 3], 2, 1, sum))
        ([3, 3], [3])
    """
    for start in range(0, min(len(items), size * most), size):
        yield make(items[start : start + size])


def count_batches(items: int, size: int, most: int) -> int:
    """How many batches `lazy_batches` makes.

    Example:
        >>> count_batches(3, 2, 5), count_batches(3, 2, 1)
        (2, 1)
    """
    return min(-(-items // size), most)
