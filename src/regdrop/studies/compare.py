"""R-Drop against plain dropout: one recipe, the same seeds, the same steps, and as much compute if asked."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch

from regdrop.checkpoints.atomic import atomic_path
from regdrop.errors import InputError, RDropError
from regdrop.studies.arms import BASELINE, LONG_BASELINE, R_DROP, Arm
from regdrop.studies.comparison import ArmResult, Comparison, contrast_arms
from regdrop.studies.jobs import Job, Outcome, run_folder, run_jobs
from regdrop.training.recipe import Recipe
from regdrop.training.summary import versions


def compare(
    recipe: Recipe, out: Path, *, seeds: int = 5, equal_compute: bool = False, progress: bool = True
) -> Comparison:
    """Train a recipe without and with R-Drop for every seed, and compare the test metrics in pairs.

    Both arms make the same optimiser steps. A step of R-Drop costs `passes` forward and backward passes, one of the
    baseline a single one; `equal_compute` adds a baseline with `passes` times the steps. Runs that `out` holds already
    are not repeated, so an interrupted comparison continues.

    Args:
        recipe: what to train; the arms set its `rdrop.enabled`.
        out: gets `recipe.yaml`, `comparison.json` and `runs/ARM/seed-N/`.
        seeds: how many; 0 to seeds - 1 each decide weights, order of the data and dropout of one run an arm.
        equal_compute: train the longer baseline, too.
        progress: show bars on standard error.

    Raises:
        InputError: fewer than one seed.
        RecipeError: `out` holds runs of another recipe.
        DataError: the data is missing.
        NoNoiseError: the model has no active dropout.
        RDropError: so many runs failed that there is no pair; `comparison.json` says why each did.

    Source: section 3 of arXiv 2106.14448, baseline against R-Drop.
    """
    if seeds < 1:
        raise InputError(f"cannot compare over {seeds} seeds; pass --seeds 5, or at least 1")
    arms = [BASELINE, R_DROP, *([LONG_BASELINE] if equal_compute else [])]
    baseline, r_drop, *others = _run_arms(arms, recipe, out, seeds, progress)
    comparison = Comparison(
        recipe=recipe.name,
        alpha=recipe.rdrop.alpha,
        command=f"regdrop compare recipe.yaml --seeds {seeds}{' --equal-compute' if equal_compute else ''}",
        date=datetime.now(UTC).date().isoformat(),
        machine=_machine(),
        versions=versions(),
        arms=(baseline, r_drop, *others),
        contrasts=contrast_arms(r_drop, [baseline, *others]),
        caveats=_caveats(recipe),
    )
    _write(out / "recipe.yaml", recipe.to_yaml())
    _write(out / "comparison.json", comparison.to_json())
    if not comparison.contrasts:
        raise RDropError(f"no seed finished with and without R-Drop, first: {comparison.failures[0]}; see {out}")
    return comparison


def _run_arms(arms: Sequence[Arm], recipe: Recipe, out: Path, seeds: int, progress: bool) -> list[ArmResult]:
    recipes = {arm: arm.change(recipe) for arm in arms}
    # Seed by seed, so that an interrupted comparison has whole pairs.
    plan = [(arm, seed) for seed in range(seeds) for arm in arms]
    jobs = [Job(arm.name, recipes[arm], seed, run_folder(out, arm.name, seed)) for arm, seed in plan]
    outcomes = dict(zip(plan, run_jobs(jobs, progress=progress), strict=True))
    return [_result(arm, recipes[arm], [outcomes[arm, seed] for seed in range(seeds)]) for arm in arms]


def _result(arm: Arm, recipe: Recipe, outcomes: Sequence[Outcome]) -> ArmResult:
    passes = recipe.rdrop.passes if recipe.rdrop.enabled else 1
    return ArmResult(arm.name, arm.label, passes, recipe.train.steps, tuple(outcomes))


def _caveats(recipe: Recipe) -> tuple[str, ...]:
    """Where the scale of the loss, summed over the passes with R-Drop, changes the optimisation as well."""
    times = f"R-Drop's gradient is about {recipe.rdrop.passes} times the baseline's"
    sgd = f"Under SGD at one learning rate {times}: part of a difference may be the larger step."
    clip = f"Clipping at norm {recipe.train.max_grad_norm:g} bites R-Drop earlier: {times}."
    return (*([sgd] if recipe.train.optimizer == "sgd" else []), *([clip] if recipe.train.max_grad_norm else []))


def _machine() -> str:
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPU cores, {device}"


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as beside:
        beside.write_text(text, encoding="utf-8")
