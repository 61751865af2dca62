"""Arms of a study: the same recipe, changed in the one thing that is compared."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from regdrop.training.recipe import Recipe


@dataclass(frozen=True)
class Arm:
    """One side of a comparison: `name` is its folder, `label` what people read, `change` what it does to the recipe."""

    name: str
    label: str
    change: Callable[[Recipe], Recipe]


def _without_r_drop(recipe: Recipe) -> Recipe:
    return replace(recipe, rdrop=replace(recipe.rdrop, enabled=False))


def _with_r_drop(recipe: Recipe) -> Recipe:
    return replace(recipe, rdrop=replace(recipe.rdrop, enabled=True))


def _longer_without_r_drop(recipe: Recipe) -> Recipe:
    plain = _without_r_drop(recipe)
    return replace(plain, train=replace(plain.train, steps=recipe.rdrop.passes * plain.train.steps))


BASELINE = Arm("baseline", "baseline", _without_r_drop)
R_DROP = Arm("r-drop", "R-Drop", _with_r_drop)
LONG_BASELINE = Arm("baseline-equal-compute", "baseline, equal compute", _longer_without_r_drop)
