"""The folder of a run: what lies where, and what a later session may continue."""

import hashlib
import json
import logging
import shutil
from collections.abc import Iterable
from pathlib import Path

from regdrop.checkpoints.atomic import atomic_path
from regdrop.errors import CheckpointError, RecipeError
from regdrop.training.lock import LOCK, OWNER, FolderLock, is_first_process
from regdrop.training.recipe import Recipe, holds_recipe
from regdrop.training.summary import RunSummary

MANIFEST = "manifest.json"
WEIGHTS = "model.safetensors"

_log = logging.getLogger(__name__)


class RunFolder:
    """Paths and state of one run.

    recipe.yaml      the recipe with every setting written out
    tokenizer.json   of a run on text: what made its tokens
    records.jsonl    one line an optimiser step or evaluation
    tensorboard/     the same as curves
    checkpoint-N/    weights (safetensors), optimiser, schedule and random state after step N
    best/            the final weights, once the run is finished: those that did best on the validation part, or a mean
    summary.json     the outcome, once the run is finished
    curves.png       the records as a picture; `regdrop train` draws it
    run.lock         held while a process is at work, which run.owner then names
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = FolderLock(path)
        self.recipe = path / "recipe.yaml"
        self.records = path / "records.jsonl"
        self.summary = path / "summary.json"
        self.tensorboard = path / "tensorboard"
        self.best = path / "best" / WEIGHTS

    def finished(self, recipe: Recipe, seed: int, *, resume: bool) -> RunSummary | None:
        """The summary of a run that is finished already; None where there is something left to do.

        Raises:
            RecipeError: the folder holds something and `resume` is false, or it holds another run.
        """
        if self.path.is_dir() and any(not self._is_leftover(file) for file in self.path.iterdir()):
            self._check_same(recipe, seed, resume)
        return RunSummary.from_json(self.summary.read_text()) if self.summary.is_file() else None

    def look(self) -> int:
        """Hold a folder that a run was begun in; the step of its newest good checkpoint, 0 where there is none.

        Raises:
            BusyError: another process holds it.
        """
        if not self.recipe.is_file():
            return 0
        if is_first_process():
            self.lock.acquire()
            self._remove_leftovers()
        return self.last_checkpoint()

    def begin(self, recipe: Recipe, seed: int, step: int = 0) -> None:
        """Make the folder, hold it, write down what it is for, and remove the checkpoints after a step.

        Raises:
            BusyError: another process holds it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        if is_first_process():
            self.lock.acquire()
            write(self.recipe, f"{_first_line(seed)}\n{recipe.to_yaml()}")
            self._remove(other for other in self._checkpoints() if other > step)
            self._remove_leftovers()

    def _check_same(self, recipe: Recipe, seed: int, resume: bool) -> None:
        if not resume:
            raise RecipeError(f"{self.path} is not empty; pass --resume to continue its run, or another --out")
        if not self.recipe.is_file():
            raise RecipeError(f"{self.path} is not the folder of a run: it has no recipe.yaml; pass another --out")
        if not self._is_of(seed) or not holds_recipe(self.recipe, recipe):
            raise RecipeError(
                f"{self.recipe} differs from this recipe or seed; pass another --out, or the same settings"
            )

    def _is_of(self, seed: int) -> bool:
        with self.recipe.open(encoding="utf-8", errors="replace") as file:
            return file.readline().rstrip() == _first_line(seed)

    def checkpoint(self, step: int) -> Path:
        """Where the checkpoint of a step lies."""
        return self.path / f"checkpoint-{step}"

    def seal(self, step: int) -> None:
        """List the files of a checkpoint with their digests: from now on it counts as complete."""
        folder = self.checkpoint(step)
        digests = {file.name: _digest(file) for file in sorted(folder.iterdir()) if file.name != MANIFEST}
        write(folder / MANIFEST, json.dumps(digests, indent=2))

    def last_checkpoint(self) -> int:
        """Step of the newest complete checkpoint, 0 where there is none; says so where it passes over a damaged one."""
        for step in sorted(self._checkpoints(), reverse=True):
            wrong = self.damage(step)
            if wrong is None:
                return step
            if (self.checkpoint(step) / MANIFEST).exists() and is_first_process():  # else its writer was interrupted
                _log.warning("%s is damaged (%s); the one before it is used", self.checkpoint(step), wrong)
        return 0

    def damage(self, step: int) -> str | None:
        """What is wrong with a checkpoint, None where it is complete and as it was when it was sealed."""
        folder = self.checkpoint(step)
        try:
            digests = json.loads((folder / MANIFEST).read_bytes())
            wrong = [name for name, digest in digests.items() if _digest(folder / name) != digest]
        except (OSError, ValueError, AttributeError) as error:
            return str(error)
        return f"{wrong[0]} is not what was written" if wrong else None

    def processes(self, step: int) -> int:
        """How many processes made a checkpoint: each keeps a random state."""
        return len(list(self.checkpoint(step).glob("rng_state*.pth")))

    def sound(self, step: int) -> Path:
        """The folder of a checkpoint that is as it was when it was sealed.

        Raises:
            CheckpointError: it is damaged or gone.
        """
        folder, wrong = self.checkpoint(step), self.damage(step)
        if wrong is not None:
            raise CheckpointError(f"{folder} is damaged ({wrong}); remove it and those after it, then pass --resume")
        return folder

    def drop_extra(self, step: int, every: int) -> None:
        """Remove the checkpoints before a step that a signal made, not an evaluation every so many steps."""
        self._remove(other for other in self._checkpoints() if other < step and other % every)

    def drop_checkpoints(self) -> None:
        """Remove all checkpoints of a finished run: `best/` stays, and nothing is left to continue."""
        self._remove(self._checkpoints())

    def _checkpoints(self) -> list[int]:
        numbers = (path.name.removeprefix("checkpoint-") for path in self.path.glob("checkpoint-*"))
        return [int(number) for number in numbers if number.isdecimal()]

    def _is_leftover(self, file: Path) -> bool:
        """Whether a file may lie in a folder whose run was killed before its recipe was written."""
        return file.name in (LOCK, OWNER) or file in _besides(self.lock.owner, self.recipe)

    def _remove_leftovers(self) -> None:
        """Remove what `atomic_path` leaves behind where its process is killed."""
        for beside in _besides(self.lock.owner, self.recipe, self.records, self.summary, self.best):
            beside.unlink(missing_ok=True)

    def _remove(self, steps: Iterable[int]) -> None:
        for step in steps:
            shutil.rmtree(self.checkpoint(step), ignore_errors=True)


def _besides(*files: Path) -> list[Path]:
    """What `atomic_path` may have left of files that were being written."""
    return [beside for file in files for beside in file.parent.glob(f".{file.stem}.????????{file.suffix}")]


def _first_line(seed: int) -> str:
    """Of `recipe.yaml`, which says the seed that the recipe does not."""
    return f"# regdrop train recipe.yaml --seed {seed}"


def find_weights(path: Path) -> Path:
    """The weights meant by a path: a .safetensors file, or a folder holding one as a run, `best/` or checkpoint does.

    Raises:
        CheckpointError: there are none.
    """
    for candidate in (path, path / WEIGHTS, path / "best" / WEIGHTS):
        if candidate.suffix == ".safetensors" and candidate.is_file():
            return candidate
    raise CheckpointError(
        f"no weights in {path}; pass --checkpoint and the folder of a finished run, a checkpoint or a .safetensors file"
    )


def write(path: Path, text: str) -> None:
    """Write a text file as a whole or not at all."""
    with atomic_path(path) as beside:
        beside.write_text(text, encoding="utf-8")


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
