"""The studies that can be asked for by name: what each compares, along which factor, and with what."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement

from regdrop.errors import InputError, nearest
from regdrop.studies.arms import BASELINE, R_DROP, Arm, alpha_arm, longer_baseline, named_alpha_arm
from regdrop.studies.changes import (
    measuring,
    on_the_head,
    wide_batch,
    with_decay,
    with_r_drop,
    without_dropout,
    without_r_drop,
)
from regdrop.training.recipe import Recipe

Grid = Sequence[float]


@dataclass(frozen=True)
class Study:
    """One question to a recipe.

    Attributes:
        name: on the command line.
        about: what it compares, in a few words.
        arms: `(recipe, grid) -> arms`, in the order of their colours.
        grid: values of the factor where the caller gives none.
        factors: what varies along the arms' coordinates; empty where the arms are no sweep.
        reference: name of the arm that the others are compared with.
        chooses: whether the best arm on the validation part is to be named.
        always_equal_compute: whether baselines of the other arms' compute belong to it unasked.
    """

    name: str
    about: str
    arms: Callable[[Recipe, Grid], Sequence[Arm]]
    grid: tuple[float, ...] = ()
    factors: tuple[str, ...] = ()
    reference: str = BASELINE.name
    chooses: bool = False
    always_equal_compute: bool = False


def find_study(name: str) -> Study:
    """The study of a name.

    Raises:
        InputError: no study has this name.

    Example:
        >>> find_study("alpha").grid
        (0.0, 0.3, 1.0, 3.0, 10.0)
    """
    if name not in STUDIES:
        raise InputError(f"unknown study {name!r}: {nearest(name, STUDIES)}")
    return STUDIES[name]


def _alphas(recipe: Recipe, grid: Grid) -> list[Arm]:
    return [BASELINE, *map(alpha_arm, sorted({*grid, recipe.rdrop.alpha}))]


def _every(_: Recipe, grid: Grid) -> list[Arm]:
    return [BASELINE, *(_whole("every", "every {} steps", value) for value in grid)]


def _passes(_: Recipe, grid: Grid) -> list[Arm]:
    return [BASELINE, *(_whole("passes", "{} passes", value) for value in grid)]


def _dropout(_: Recipe, grid: Grid) -> list[Arm]:
    pairs = combinations_with_replacement(sorted(set(grid)), 2)
    return [BASELINE, *(_rates(*pair) for pair in pairs if any(pair))]


def _rates(one: float, other: float) -> Arm:
    change = with_r_drop(passes=2, mode="sequential", pass_dropout=f"{one:g},{other:g}")
    return Arm(f"dropout-{one:g}-{other:g}", f"dropout {one:g} and {other:g}", change, (one, other))


def _whole(key: str, label: str, value: float) -> Arm:
    """An arm whose setting is a whole number."""
    if not float(value).is_integer():
        raise InputError(f"--grid {value:g}: rdrop.{key} counts; give whole numbers")
    count = int(value)
    text = "every step" if (key, count) == ("every", 1) else label.format(count)
    return Arm(f"{key}-{count}", text, with_r_drop(**{key: count}), (value,))


def _two(*_: object) -> list[Arm]:
    return [BASELINE, R_DROP]


def _watched(*_: object) -> list[Arm]:
    return [replace(arm, change=measuring(arm.change, CONSISTENCY_ITEMS)) for arm in (BASELINE, R_DROP)]


def _double_batch(recipe: Recipe, _: Grid) -> list[Arm]:
    times = recipe.rdrop.passes
    return [
        Arm("wide-batch", f"baseline, {times} x the batch", wide_batch),
        R_DROP,
        Arm("alpha-0", f"each item {times} times, no KL", with_r_drop(alpha=0.0)),
        BASELINE,
    ]


def _baselines(recipe: Recipe, _: Grid) -> list[Arm]:
    decay = 10 * recipe.train.weight_decay or 0.01
    return [
        BASELINE,
        Arm("no-dropout", "no dropout", without_dropout),
        Arm("label-smoothing", "label smoothing 0.1", without_r_drop(label_smoothing=0.1)),
        Arm("weight-decay", f"weight decay {decay:g}", with_decay(decay)),
        Arm("multi-sample", "multi-sample dropout", on_the_head(alpha=0.0)),
        Arm("logit-mse", "squared difference of logits", with_r_drop(penalty="logit_mse")),
        Arm("full-kl", "KL of sub-models to the full model", with_r_drop(penalty="full_kl")),
        R_DROP,
    ]


def _cheaper(*_: object) -> list[Arm]:
    return [
        BASELINE,
        R_DROP,
        _twins("twins", "R-Drop on a quarter of the rows"),
        Arm("every-4", "R-Drop every 4 steps", with_r_drop(every=4)),
        Arm("head", "R-Drop on the head alone", on_the_head()),
    ]


def _evidence(recipe: Recipe, grid: Grid) -> list[Arm]:
    times = recipe.rdrop.passes
    return [
        Arm("no-dropout", "no dropout", without_dropout),
        replace(BASELINE, label="dropout"),
        *_smoothing(recipe),
        Arm("wide-batch", f"dropout, {times} x the batch", wide_batch),
        replace(longer_baseline(times), label=f"dropout, {times} x the steps"),
        *map(named_alpha_arm, grid),
        *(_twins(f"twins-{alpha:g}", f"cheap R-Drop, alpha = {alpha:g}", alpha=alpha) for alpha in grid),
    ]


def _smoothing(recipe: Recipe) -> list[Arm]:
    """Label smoothing where it is usual; where the recipe has it, dropout without."""
    if recipe.rdrop.label_smoothing:
        return [Arm("no-smoothing", "dropout, no label smoothing", without_r_drop(label_smoothing=0.0))]
    arm = Arm("label-smoothing", "dropout, label smoothing 0.1", without_r_drop(label_smoothing=0.1))
    return [arm] if recipe.task in SMOOTHED else []


def _twins(name: str, label: str, **rdrop: float) -> Arm:
    return Arm(name, label, with_r_drop(twin_fraction=0.25, **rdrop))


SMOOTHED = ("image_classification", "translation", "summarization")
CONSISTENCY_ITEMS = 256
RATES = ("dropout of one pass", "dropout of the other")

SEARCH = Study("search", "an alpha searched on the validation part", _alphas, factors=("alpha",), chooses=True)

EVIDENCE = Study("evidence", "what the second pass is best spent on", _evidence, (0.3, 1.0, 4.0))

STUDIES = {
    study.name: study
    for study in (
        Study("compare", "R-Drop against plain dropout", _two),
        Study("alpha", "the weight of the divergence", _alphas, (0.0, 0.3, 1.0, 3.0, 10.0), ("alpha",), chooses=True),
        Study("every", "R-Drop at every k-th step only", _every, (1, 2, 5, 10), ("every",)),
        Study("passes", "the number of passes a step", _passes, (2, 3, 4), ("passes",)),
        Study("dropout", "two passes of different dropout rates", _dropout, (0.1, 0.2, 0.4), RATES, chooses=True),
        Study("double-batch", "R-Drop against a batch as large as its passes", _double_batch, reference="wide-batch"),
        Study("cost", "what R-Drop, and less of it, gains by steps and seconds", _cheaper, always_equal_compute=True),
        Study("kl", "the KL between sub-models while training, with and without R-Drop", _watched),
        Study("baselines", "R-Drop against other regularisers", _baselines),
        SEARCH,
        EVIDENCE,
    )
}
