"""Which way to train, in words: the quickest exact one, the leanest exact one, and what approximations would save."""

import math
from collections.abc import Callable, Iterator, Sequence

from regdrop.studies.cost.costs import Cost
from regdrop.studies.cost.ways import CONCAT, PLAIN

NOISE = 0.05  # a smaller saving than this share of the time or memory is no reason for another way
Measure = Callable[[Cost], float]


def advise(costs: Sequence[Cost]) -> list[str]:
    """Recommend a way, a sentence each.

    Args:
        costs: of plain training, of concatenated passes, and of any others.

    Example:
        >>> quick = Cost("concat", "", True, 2.0, 200), Cost("shared", "--rdrop.mode shared", True, 1.4, 150)
        >>> advise([Cost("plain", "", True, 1.0, 100), *quick])
        ['Take shared (--rdrop.mode shared): exact R-Drop at 1.40 x the time and 1.50 x the memory of a plain step.']
    """
    had = {cost.way: cost for cost in costs if cost.seconds}
    if PLAIN.name not in had or len(had) < 2:
        return ["Nothing to recommend: see what each way was refused for."]
    return list(_sentences(had.pop(PLAIN.name), had))


def _sentences(plain: Cost, had: dict[str, Cost]) -> Iterator[str]:
    exact = [cost for cost in had.values() if cost.exact]
    if exact:
        quick = _least(exact, _seconds, _bytes, had.get(CONCAT.name))
        yield f"Take {_named(quick)}: exact R-Drop at {_price(quick, plain)} of a plain step."
        lean = _least(exact, _bytes, _seconds, quick)
        if lean is not quick:
            yield f"If memory is short, take {_named(lean)}: the same gradient at {_price(lean, plain)}."
    for cost in sorted((cost for cost in had.values() if not cost.exact), key=_seconds):
        yield f"Approximate: {_named(cost)} at {_price(cost, plain)}."


def _least(costs: Sequence[Cost], by: Measure, then: Measure, usual: Cost | None) -> Cost:
    """The cheapest; of those that are hardly dearer the usual one, or the cheapest in another respect."""
    limit = (1 + NOISE) * min(map(by, costs))
    near = [cost for cost in costs if by(cost) <= limit]
    return usual if usual in near else min(near, key=then)


def _seconds(cost: Cost) -> float:
    return cost.seconds or math.inf


def _bytes(cost: Cost) -> float:
    return math.inf if cost.extra_bytes is None else cost.extra_bytes


def _named(cost: Cost) -> str:
    return f"{cost.way} ({cost.settings})" if cost.settings else cost.way


def _price(cost: Cost, plain: Cost) -> str:
    time, memory = cost.time_over(plain), cost.memory_over(plain)
    return f"{time:.2f} x the time" + ("" if memory is None else f" and {memory:.2f} x the memory")
