"""Every finished run of a study, diagnosed on the same batches with the same noise."""

from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from regdrop.diagnostics.record import DIAGNOSIS
from regdrop.studies.jobs import run_folder
from regdrop.studies.result import StudyResult
from regdrop.training.diagnosing import diagnose_subject
from regdrop.training.evaluation import Split
from regdrop.training.folder import write
from regdrop.training.recipe import load_recipe
from regdrop.training.subjects.recipe_model import recipe_subject


@dataclass(frozen=True, slots=True)
class Sample:
    """What each model is measured on: sub-models, batches from the first, part of the data, seed of the noise."""

    passes: int = 8
    batches: int = 10
    split: Split = "validation"
    seed: int = 0


def diagnose_study(study: StudyResult, out: Path, sample: Sample, *, progress: bool = True) -> None:
    """Write `diagnosis.json` beside the records of every finished run.

    Args:
        study: says which runs there are.
        out: its folder.
        sample: what each model is measured on.
        progress: show a bar on standard error.

    Raises:
        CheckpointError: a run has lost its weights.
        DataError: the data is missing.
        UnsupportedError: the recipe's head predicts no classes.
    """
    runs = [(arm.name, outcome.seed) for arm in study.arms for outcome in arm.finished]
    options = f"--split {sample.split} --passes {sample.passes} --batches {sample.batches} --seed {sample.seed}"
    for arm, seed in tqdm(runs, unit="model", leave=False, disable=not progress):
        folder = run_folder(out, arm, seed)
        subject = recipe_subject(load_recipe(folder), folder, sample.split, sample.batches)
        command = f"regdrop diagnose runs/{arm}/seed-{seed} {options}"
        record = diagnose_subject(subject, command, passes=sample.passes, seed=sample.seed, progress=False)
        write(folder / DIAGNOSIS, record.to_json())
