"""What each way to train costs for the model and the batch of a recipe, and which to take."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from tqdm import tqdm

from regdrop.errors import InputError, RDropError, nearest
from regdrop.studies.cost.advice import advise
from regdrop.studies.cost.costs import Cost
from regdrop.studies.cost.machine import Watch, describe
from regdrop.studies.cost.memory import peak_extra_bytes
from regdrop.studies.cost.recipes import first_batch, fresh_step, recipe_step, workload
from regdrop.studies.cost.timing import Case, interleaved
from regdrop.studies.cost.ways import PLAIN, WAYS, Way
from regdrop.training.recipe import Recipe

SAMPLE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Plan:
    """What was measured, and what follows.

    Attributes:
        recipe: its name.
        micro_batch: items, or tokens where the recipe counts those, a forward takes before the passes repeat them.
        passes: K.
        rounds: timings of each way.
        machine: what it was measured on.
        notice: one sentence where something else ran meanwhile, else None.
        costs: one for each way, plain training first.
        advice: what to do, in sentences.
    """

    recipe: str
    micro_batch: int
    passes: int
    rounds: int
    machine: dict[str, str | int]
    notice: str | None
    costs: tuple[Cost, ...]
    advice: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain values."""
        return asdict(self)


def plan(recipe: Recipe, names: Sequence[str] = (), *, rounds: int = 7, progress: bool = True) -> Plan:
    """Measure the time and the memory of one training step of a recipe in several ways, and recommend one.

    A step takes one micro-batch: forward, loss, backward and optimizer, with random weights, as a process by itself.
    Times are interleaved; memory is that of a fresh process each.

    Args:
        recipe: whose model, data, batch and precision.
        names: of the ways beside plain training; all of `WAYS` where there are none.
        rounds: timings of each way.
        progress: show a bar on standard error.

    Raises:
        InputError: no way has this name, or there are no rounds.
        DataError: the data is missing.
        RecipeError: micro-batches of this size do not make up the batch.
    """
    if rounds < 1:
        raise InputError(f"rounds={rounds} must be at least 1")
    ways, batch, watch = [PLAIN, *_chosen(names)], first_batch(recipe), Watch()
    with tqdm(total=rounds + len(ways), unit="measurement", leave=False, disable=not progress) as bar:

        def begin_round() -> None:
            watch.probe()
            bar.update()

        cases, refusals = _cases(ways, recipe, batch)
        samples = interleaved(list(cases.values()), rounds, SAMPLE_SECONDS, begin_round)
        cases.clear()
        watch.probe()
        watch.rest()
        costs = []
        for way in ways:
            costs.append(_cost(way, recipe, batch, samples.get(way.name), refusals.get(way.name)))
            bar.update()
    micro, _ = recipe.train.accumulation(1)
    return Plan(
        recipe.name,
        micro,
        recipe.rdrop.passes,
        rounds,
        describe(),
        watch.notice(),
        costs=tuple(costs),
        advice=tuple(advise(costs)),
    )


def _chosen(names: Sequence[str]) -> list[Way]:
    known = {way.name: way for way in WAYS if way is not PLAIN}
    for name in names:
        if name not in known:
            raise InputError(f"unknown way {name!r}: {nearest(name, known)}")
    return [known[name] for name in names or known]


def _cases(ways: Sequence[Way], recipe: Recipe, batch: dict[str, Any]) -> tuple[dict[str, Case], dict[str, str]]:
    """The steps that this model can take, each tried once, and why it cannot take the others."""
    work, cases, refusals = workload(recipe, batch), {}, {}
    for way in ways:
        try:
            case = recipe_step(way, recipe, work)
            case.seconds(1)
        except RDropError as error:
            refusals[way.name] = str(error)
        else:
            cases[way.name] = case
    return cases, refusals


def _cost(
    way: Way, recipe: Recipe, batch: dict[str, Any], samples: Sequence[float] | None, refusal: str | None
) -> Cost:
    size, _ = recipe.train.accumulation(1)
    settings = way.settings(size, "max_tokens" if recipe.train.max_tokens else "micro_batch")
    if samples is None:
        return Cost(way.name, settings, way.exact, refusal=refusal)
    peak = peak_extra_bytes(fresh_step, way, recipe, batch)
    return Cost(way.name, settings, way.exact, median(samples), peak)
