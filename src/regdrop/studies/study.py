"""A study from its name to its result: arms and seeds become runs, their outcomes arms and contrasts."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from regdrop.errors import InputError, RDropError, RecipeError
from regdrop.studies.arms import BASELINE, Arm, compute, longer_baseline
from regdrop.studies.catalogue import Study
from regdrop.studies.choice import choose
from regdrop.studies.contrasts import contrast_arms
from regdrop.studies.jobs import Job, Outcome, run_folder
from regdrop.studies.metrics import SUBMODEL_KL
from regdrop.studies.options import Options
from regdrop.studies.result import STUDY, ArmResult, StudyResult
from regdrop.studies.runner import run_jobs
from regdrop.tasks.task import find_task
from regdrop.training.folder import write
from regdrop.training.machine import machine
from regdrop.training.recipe import Recipe, holds_recipe
from regdrop.training.summary import versions

KL_CAVEAT = "The KL between sub-models is that of the validation part, at the weights that did best there."


def run_study(
    study: Study, recipe: Recipe, out: Path, options: Options | None = None, words: str | None = None
) -> StudyResult:
    """Train every arm of a study for every seed, and compare the test metrics in pairs.

    The arms share seeds, steps and data. Runs that `out` holds already are not repeated, so an interrupted study
    continues; failed ones are tried again. The same command may run on several machines that share `out`: they share
    the runs, too.

    Args:
        study: from `find_study`.
        recipe: what to train; the arms change it.
        out: gets `recipe.yaml`, `study.json` and `runs/ARM/seed-N/`.
        options: seeds, grid and the like.
        words: what the command to repeat it says of them; None: what `options` says.

    Raises:
        InputError: options that do not fit the study.
        RecipeError: `out` holds runs of another recipe.
        DataError: the data is missing.
        NoNoiseError: the model has no active dropout.
        RDropError: so many runs failed that there is no pair; `study.json` says why each did.

    Source: section 3 of arXiv 2106.14448, baseline against R-Drop, and the studies of its section 4.
    """
    options = options or Options()
    arms = _arms(study, recipe, options)
    begin_study(out, recipe)
    results = run_arms(arms, recipe, out, options)
    return keep_result(conclude(study, recipe, results, words or options.words()), out)


def keep_result(result: StudyResult, out: Path) -> StudyResult:
    """Write `study.json`.

    Raises:
        RDropError: so many runs failed that there is no pair.
    """
    write(out / STUDY, result.to_json())
    if not result.contrasts:
        first = f", first: {result.failures[0]}" if result.failures else ""
        raise RDropError(f"no seed finished in two arms{first}; see {out}")
    return result


def begin_study(out: Path, recipe: Recipe) -> None:
    """Make the folder of a study and write down what it is for.

    Raises:
        RecipeError: it is that of another recipe.
    """
    path = out / "recipe.yaml"
    if path.is_file() and not holds_recipe(path, recipe):
        raise RecipeError(f"{path} differs from this recipe; pass another --out, or the same settings")
    out.mkdir(parents=True, exist_ok=True)
    write(path, recipe.to_yaml())


def conclude(
    study: Study, recipe: Recipe, arms: Sequence[ArmResult], words: str, tried: Sequence[ArmResult] = ()
) -> StudyResult:
    """What the outcomes of all arms come to.

    Args:
        study: gives reference and factors.
        recipe: gives name and caveats.
        arms: with their outcomes.
        words: the options that decide the numbers.
        tried: arms that only helped to choose, on fewer seeds; shown, but compared with nothing.
    """
    contrasts, task = contrast_arms(_pairs(arms, study.reference)), find_task(recipe.task)
    return StudyResult(
        study=study.name,
        about=study.about,
        recipe=recipe.name,
        command=f"regdrop study {study.name} recipe.yaml {words}",
        date=datetime.now(UTC).date().isoformat(),
        machine=machine(),
        versions=versions(),
        factors=study.factors,
        reference=study.reference,
        arms=(*arms, *tried),
        contrasts=contrasts,
        choice=choose(task.best(recipe.data), task.higher_is_better, arms) if study.chooses else None,
        caveats=(
            *_scale_caveats(recipe),
            *_multiplicity(len({(contrast.treatment, contrast.reference) for contrast in contrasts})),
            *([KL_CAVEAT] if any(contrast.metric == SUBMODEL_KL.key for contrast in contrasts) else []),
        ),
    )


def _arms(study: Study, recipe: Recipe, options: Options) -> list[Arm]:
    if options.grid and not study.factors:
        raise InputError(f"--grid: the study {study.name} has no grid; leave it out")
    arms = list(study.arms(recipe, options.grid or study.grid))
    if options.equal_compute or study.always_equal_compute:
        base = compute(BASELINE.change(recipe))
        changed = [arm.change(recipe) for arm in arms]
        times = {float(f"{compute(one) / base:.3g}") for one in changed if one.rdrop.enabled}
        arms += [longer_baseline(each) for each in sorted(times - {1.0})]
    return arms


def run_arms(arms: Sequence[Arm], recipe: Recipe, out: Path, options: Options) -> list[ArmResult]:
    """Train every arm for every seed."""
    recipes = {arm: arm.change(recipe) for arm in arms}
    # Seed by seed, so that an interrupted study has whole pairs.
    plan = [(arm, seed) for seed in range(options.seeds) for arm in arms]
    jobs = [Job(arm.name, recipes[arm], seed, run_folder(out, arm.name, seed)) for arm, seed in plan]
    outcomes = dict(zip(plan, run_jobs(jobs, workers=options.workers, progress=options.progress), strict=True))
    seeds = range(options.seeds)
    return [arm_result(arm, recipe, [outcomes[arm, seed] for seed in seeds]) for arm in arms]


def arm_result(arm: Arm, recipe: Recipe, outcomes: Sequence[Outcome]) -> ArmResult:
    """An arm with the outcomes of its seeds."""
    changed = arm.change(recipe)
    rdrop = changed.rdrop
    return ArmResult(
        name=arm.name,
        label=arm.label,
        point=arm.point,
        alpha=rdrop.alpha if rdrop.enabled else None,
        passes=rdrop.passes if rdrop.enabled else 1,
        steps=changed.train.steps,
        compute=compute(changed) / compute(BASELINE.change(recipe)),
        outcomes=tuple(outcomes),
    )


def _pairs(arms: Sequence[ArmResult], reference: str) -> list[tuple[ArmResult, ArmResult]]:
    """Each arm with the reference, and arms with R-Drop with the baseline of the same compute."""
    named = {arm.name: arm for arm in arms}
    longer = {longer_baseline(arm.compute).name for arm in arms} & named.keys()
    treatments = [arm for arm in arms if arm.name not in {reference, *longer}]
    matched = [(arm, named.get(longer_baseline(arm.compute).name)) for arm in treatments if arm.alpha is not None]
    return [(arm, named[reference]) for arm in treatments] + [(arm, long) for arm, long in matched if long is not None]


def _scale_caveats(recipe: Recipe) -> tuple[str, ...]:
    """Where the scale of the loss, summed over the passes with R-Drop, changes the optimisation as well."""
    times = f"R-Drop's gradient is about {recipe.rdrop.passes} times the baseline's"
    sgd = f"Under SGD at one learning rate {times}: part of a difference may be the larger step."
    clip = f"Clipping at norm {recipe.train.max_grad_norm:g} bites R-Drop earlier: {times}."
    return (*([sgd] if recipe.train.optimizer == "sgd" else []), *([clip] if recipe.train.max_grad_norm else []))


def _multiplicity(count: int) -> tuple[str, ...]:
    """What to mind where several arms are compared at once."""
    if count < 3:
        return ()
    return (
        f"{count} pairs of arms are compared and no correction is made for that: where nothing differs, about "
        f"{0.05 * count:.1f} of their 95 % intervals a metric leave 0 out by chance.",
    )
