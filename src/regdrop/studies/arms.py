"""Arms of a study: the same recipe, changed in the one thing that is compared."""

from dataclasses import dataclass, replace

from regdrop.studies.changes import Change, longer, with_r_drop, without_r_drop
from regdrop.training.recipe import Recipe


@dataclass(frozen=True)
class Arm:
    """One side of a comparison.

    Attributes:
        name: of its folder.
        label: what people read.
        change: what it does to the recipe.
        point: where it lies on the study's factors, one number a factor; empty where it lies on none.
    """

    name: str
    label: str
    change: Change
    point: tuple[float, ...] = ()


def compute(recipe: Recipe) -> float:
    """Passes of single items, with their gradient, that a run of the recipe makes.

    In mode "head" only the head makes more than one; the pass of the full model that "full_kl" compares with has no
    gradient, and is not counted.

    Example:
        >>> from regdrop.training.recipe import load_recipe
        >>> compute(load_recipe("digits_vit")) / compute(BASELINE.change(load_recipe("digits_vit")))
        2.0
    """
    rdrop = recipe.rdrop
    repeated = rdrop.enabled and rdrop.mode != "head"
    passes = 1 + (rdrop.passes - 1) * rdrop.twin_fraction / rdrop.every if repeated else 1.0
    return passes * recipe.train.steps * recipe.train.batch_size


def longer_baseline(times: float) -> Arm:
    """Training without R-Drop for so many times the steps: as much compute as an arm that makes so many passes."""
    return Arm(f"baseline-x{times:.3g}", f"baseline, {times:.3g} x the steps", longer(times))


def alpha_arm(alpha: float) -> Arm:
    """R-Drop with this weight of the divergence; 0 makes the passes, but does not pull them together."""
    return Arm(f"alpha-{alpha:g}", f"alpha = {alpha:g}", with_r_drop(alpha=alpha), (alpha,))


def named_alpha_arm(alpha: float) -> Arm:
    """The same arm among others that are no sweep: its label says what it is, and it lies on no factor."""
    return replace(alpha_arm(alpha), label=f"R-Drop, alpha = {alpha:g}", point=())


BASELINE = Arm("baseline", "baseline", without_r_drop())
R_DROP = Arm("r-drop", "R-Drop", with_r_drop())
