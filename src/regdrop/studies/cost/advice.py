"""Which way to train, in words: the quickest exact one, the leanest exact one, and what approximations would save."""

from collections.abc import Iterator, Sequence

from regdrop.studies.cost.costs import Cost
from regdrop.studies.cost.ways import CONCAT, PLAIN

NOISE = 0.05  # a smaller saving than this share of the time or memory is no reason for another way


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
        best = _best(exact, had.get(CONCAT.name), "seconds")
        yield f"Take {_named(best)}: exact R-Drop at {_price(best, plain)} of a plain step."
        lean = _best(exact, best, "extra_bytes")
        if lean is not best:
            yield f"If memory is short, take {_named(lean)}: the same gradient at {_price(lean, plain)}."
    for cost in sorted((cost for cost in had.values() if not cost.exact), key=_seconds):
        yield f"Approximate: {_named(cost)} at {_price(cost, plain)}."


def _best(costs: Sequence[Cost], usual: Cost | None, quantity: str) -> Cost:
    """The cheapest by some quantity, but the usual one where the difference is small or unknown."""
    known = [cost for cost in costs if getattr(cost, quantity)]
    usual = usual or costs[0]
    least = min(known, key=lambda cost: (getattr(cost, quantity), cost.seconds), default=usual)
    if getattr(least, quantity) is None or getattr(usual, quantity) is None:
        return usual
    return least if getattr(least, quantity) < (1 - NOISE) * getattr(usual, quantity) else usual


def _named(cost: Cost) -> str:
    return f"{cost.way} ({cost.settings})" if cost.settings else cost.way


def _price(cost: Cost, plain: Cost) -> str:
    time, memory = cost.time_over(plain), cost.memory_over(plain)
    return f"{time:.2f} x the time" + ("" if memory is None else f" and {memory:.2f} x the memory")


def _seconds(cost: Cost) -> float:
    return cost.seconds or float("inf")
