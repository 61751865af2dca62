"""What one task says of R-Drop: an alpha chosen on the validation part, and what else its compute could buy."""

from dataclasses import replace
from pathlib import Path

from regdrop.errors import InputError, RDropError
from regdrop.studies.arms import named_alpha_arm
from regdrop.studies.catalogue import EVIDENCE
from regdrop.studies.choice import choose
from regdrop.studies.options import Options
from regdrop.studies.result import ArmResult, Choice, StudyResult
from regdrop.studies.study import begin_study, conclude, keep_result, run_arms
from regdrop.tasks.task import find_task
from regdrop.training.recipe import Recipe


def gather_evidence(recipe: Recipe, out: Path, options: Options) -> StudyResult:
    """Choose alpha on the validation part with one seed, then train every arm of the study for every seed.

    Args:
        recipe: what to train; its own alpha is not used.
        out: gets what `run_study` writes; the runs there are not repeated.
        options: the grid holds the alphas to try; empty takes the study's own.

    Returns:
        The study. The alphas that were not chosen are among its arms, with one seed each, and in no contrast: what they
        took is the price of the choice.

    Raises:
        InputError: `equal_compute` in the options, which adds nothing here.
        RDropError: see `run_study`.

    Relations: `run_study` of the study "alpha" runs its whole grid with all seeds.
    """
    if options.equal_compute:
        raise InputError("--equal-compute: the study evidence trains for twice the steps anyway; leave it out")
    begin_study(out, recipe)
    trials = [named_alpha_arm(alpha) for alpha in sorted({*(options.grid or EVIDENCE.grid)})]
    tried = run_arms(trials, recipe, out, replace(options, seeds=1))
    choice = _choose(recipe, tried)
    alpha = next(arm.alpha for arm in tried if arm.name == choice.arm)
    arms = run_arms(EVIDENCE.arms(recipe, (alpha or 0.0,)), recipe, out, options)
    others = [arm for arm in tried if arm.name != choice.arm]
    result = conclude(EVIDENCE, recipe, arms, options.words(), others)
    return keep_result(replace(result, choice=choice), out)


def _choose(recipe: Recipe, tried: list[ArmResult]) -> Choice:
    task = find_task(recipe.task)
    choice = choose(task.best(recipe.data), task.higher_is_better, tried)
    if choice is None:
        raise RDropError(f"no alpha could be tried: {tried[0].outcomes[0].failure}")
    return choice
