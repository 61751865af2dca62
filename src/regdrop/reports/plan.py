"""A plan as text for a terminal: a table of what each way costs, and the advice."""

from collections.abc import Iterator

from tabulate import tabulate

from regdrop.studies.cost.costs import Cost
from regdrop.studies.cost.plan import Plan

NOTHING = "-"
HEADS = ("way", "ms a step", "x plain", "peak MB", "x plain", "gradient", "by")


def plan_text(plan: Plan) -> str:
    """The table of a plan, why a way cannot be had, the advice, and the notice of a loaded machine."""
    rows = [_row(cost, plan.costs[0]) for cost in plan.costs]
    table = tabulate(
        rows, HEADS, tablefmt="simple", disable_numparse=True, colalign=["left", *["right"] * 4, "left", "left"]
    )
    title = f"{plan.recipe}: micro-batch {plan.micro_batch}, {plan.passes} passes, median of {plan.rounds} steps"
    return "\n".join([title, "", table, "", *_notes(plan)])


def _notes(plan: Plan) -> Iterator[str]:
    yield from (f"{cost.way} cannot be had: {cost.refusal}" for cost in plan.costs if cost.refusal)
    yield from plan.advice
    if plan.notice:
        yield plan.notice


def _row(cost: Cost, plain: Cost) -> list[str]:
    milliseconds = None if cost.seconds is None else cost.seconds * 1e3
    megabytes = None if cost.extra_bytes is None else cost.extra_bytes / 2**20
    return [
        cost.way,
        _number(milliseconds, ".1f"),
        _number(cost.time_over(plain), ".2f"),
        _number(megabytes, ".1f"),
        _number(cost.memory_over(plain), ".2f"),
        "not to be had" if cost.refusal else "exact" if cost.exact else "approximate",
        cost.settings,
    ]


def _number(value: float | None, form: str) -> str:
    return NOTHING if value is None else format(value, form)
