"""An alpha searched by optuna and chosen on the validation part."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regdrop.errors import InputError, MissingExtraError
from regdrop.studies.arms import alpha_arm
from regdrop.studies.catalogue import SEARCH
from regdrop.studies.jobs import Job, run_folder
from regdrop.studies.options import Options
from regdrop.studies.result import StudyResult
from regdrop.studies.runner import run_jobs
from regdrop.studies.statistics import spread
from regdrop.studies.study import begin_study, run_study
from regdrop.tasks.task import Task, find_task
from regdrop.training.recipe import Recipe

if TYPE_CHECKING:
    import optuna

ALPHA = "alpha"
RANGE = (0.03, 30.0)
JOURNAL = "trials.log"
RANDOM_TRIALS = 4  # before the sampler has enough to go by


def search_alpha(recipe: Recipe, out: Path, options: Options, trials: int = 10) -> StudyResult:
    """Try alphas one after another, each where those before did best on the validation part, then report on the test.

    A trial trains one alpha for every seed; its value is the mean over them of the metric by which the recipe's task
    chooses checkpoints. The first trial is the recipe's own alpha. What was tried is kept in optuna's journal in `out`:
    an interrupted search continues, and machines that share the folder share the search.

    Args:
        recipe: what to train; the trials change its alpha.
        out: gets what `run_study` writes, and the journal.
        options: the grid must be empty.
        trials: alphas to try, those of earlier sessions included.

    Raises:
        MissingExtraError: optuna is not installed.
        InputError: a grid, or no trial.
        RDropError: see `run_study`.

    Relations: `run_study` of the study "alpha" tries a grid.
    """
    if options.grid:
        raise InputError("--grid: a search finds its alphas itself; leave it out, or ask for the study alpha")
    if trials < 1:
        raise InputError(f"--trials {trials}: a search needs at least 1; pass --trials 10")
    task = find_task(recipe.task)
    study = _open(out, recipe, task)
    _finish_begun(study, recipe, out, options, task)
    while len(tried := _tried(study)) < trials:
        study.sampler = _sampler(len(tried))
        trial = study.ask()
        alpha = round_alpha(trial.suggest_float(ALPHA, *RANGE, log=True))
        _tell(study, trial.number, _value(alpha, recipe, out, options, task))
    grid = tuple(sorted({round_alpha(trial.params[ALPHA]) for trial in tried}))
    words = f"--trials {trials} --seeds {options.seeds}{' --equal-compute' if options.equal_compute else ''}"
    return run_study(SEARCH, recipe, out, replace(options, grid=grid), words)


def round_alpha(alpha: float) -> float:
    """Two digits are more than any seed can tell apart.

    Example:
        >>> round_alpha(0.12345), round_alpha(12.6)
        (0.12, 13.0)
    """
    return float(f"{alpha:.2g}")


def _open(out: Path, recipe: Recipe, task: Task) -> "optuna.Study":
    """The search in a folder, begun where there is none."""
    package = _optuna()
    package.logging.set_verbosity(package.logging.WARNING)
    begin_study(out, recipe)
    storage = package.storages.JournalStorage(package.storages.journal.JournalFileBackend(str(out / JOURNAL)))
    direction = "maximize" if task.higher_is_better else "minimize"
    study: optuna.Study = package.create_study(
        storage=storage, study_name=ALPHA, direction=direction, load_if_exists=True
    )
    if not study.trials and RANGE[0] <= recipe.rdrop.alpha <= RANGE[1]:
        study.enqueue_trial({ALPHA: recipe.rdrop.alpha})
    return study


def _sampler(count: int) -> Any:
    """Seeded by what was tried before, so that an interrupted search goes on as it would have gone."""
    return _optuna().samplers.TPESampler(seed=count, n_startup_trials=RANDOM_TRIALS)


def _finish_begun(study: "optuna.Study", recipe: Recipe, out: Path, options: Options, task: Task) -> None:
    """Trials that another session began: it may be gone, and if it is not, the locks share the runs."""
    for trial in study.get_trials(states=[_optuna().trial.TrialState.RUNNING]):
        alpha = trial.params.get(ALPHA)
        value = None if alpha is None else _value(round_alpha(alpha), recipe, out, options, task)
        _tell(study, trial.number, value)


def _value(alpha: float, recipe: Recipe, out: Path, options: Options, task: Task) -> float | None:
    """The mean validation metric of an alpha; None where a seed failed."""
    arm = alpha_arm(alpha)
    changed = arm.change(recipe)
    jobs = [Job(arm.name, changed, seed, run_folder(out, arm.name, seed)) for seed in range(options.seeds)]
    outcomes = run_jobs(jobs, workers=options.workers, progress=options.progress)
    if any(outcome.failure for outcome in outcomes):
        return None
    return spread([outcome.validation[task.best(recipe.data)] for outcome in outcomes]).mean


def _tell(study: "optuna.Study", number: int, value: float | None) -> None:
    failed = _optuna().trial.TrialState.FAIL if value is None else None
    study.tell(number, value, state=failed, skip_if_finished=True)


def _tried(study: "optuna.Study") -> list["optuna.trial.FrozenTrial"]:
    """The trials that are done, failed ones included."""
    return [trial for trial in study.trials if trial.state.is_finished() and ALPHA in trial.params]


def _optuna() -> Any:
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise MissingExtraError("optuna", "sweep") from error
    return optuna
