"""The folder of a run: what lies where, and what a later session may continue."""

import hashlib
import json
import shutil
from pathlib import Path

from regdrop.checkpoints.atomic import atomic_path
from regdrop.errors import CheckpointError, RecipeError
from regdrop.training.recipe import Recipe
from regdrop.training.summary import RunSummary

MANIFEST = "manifest.json"
WEIGHTS = "model.safetensors"


class RunFolder:
    """Paths and state of one run.

    recipe.yaml      the recipe with every setting written out
    records.jsonl    one line an optimiser step or evaluation
    tensorboard/     the same as curves
    checkpoint-N/    weights (safetensors), optimiser, schedule and random state after step N
    best/            the final weights, once the run is finished: those that did best on the validation part, or a mean
    summary.json     the outcome, once the run is finished
    curves.png       the records as a picture; `regdrop train` draws it
    """

    def __init__(self, path: Path) -> None:
        self.path = path
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
        if self.path.is_dir() and any(self.path.iterdir()):
            self._check_same(_identity(recipe, seed), resume)
        return RunSummary.from_json(self.summary.read_text()) if self.summary.is_file() else None

    def begin(self, recipe: Recipe, seed: int) -> None:
        """Make the folder and write down what it is for."""
        self.path.mkdir(parents=True, exist_ok=True)
        write(self.recipe, _identity(recipe, seed))

    def _check_same(self, text: str, resume: bool) -> None:
        if not resume:
            raise RecipeError(f"{self.path} is not empty; pass --resume to continue its run, or another --out")
        if not self.recipe.is_file():
            raise RecipeError(f"{self.path} is not the folder of a run: it has no recipe.yaml; pass another --out")
        if self.recipe.read_text() != text:
            raise RecipeError(
                f"{self.recipe} differs from this recipe or seed; pass another --out, or the same settings"
            )

    def checkpoint(self, step: int) -> Path:
        """Where the checkpoint of a step lies."""
        return self.path / f"checkpoint-{step}"

    def seal(self, step: int) -> None:
        """List the files of a checkpoint with their digests: from now on it counts as complete."""
        folder = self.checkpoint(step)
        digests = {file.name: _digest(file) for file in sorted(folder.iterdir()) if file.name != MANIFEST}
        write(folder / MANIFEST, json.dumps(digests, indent=2))

    def last_checkpoint(self) -> int:
        """Step of the newest complete checkpoint, 0 where there is none; incomplete ones are removed."""
        numbers = (path.name.removeprefix("checkpoint-") for path in self.path.glob("checkpoint-*"))
        for step in sorted((int(number) for number in numbers if number.isdecimal()), reverse=True):
            if self._is_sealed(step):
                return step
            shutil.rmtree(self.checkpoint(step), ignore_errors=True)  # several processes may do so
        return 0

    def _is_sealed(self, step: int) -> bool:
        """Whether a checkpoint is complete and unchanged since it was sealed."""
        folder = self.checkpoint(step)
        try:
            digests = json.loads((folder / MANIFEST).read_bytes())
            return all(_digest(folder / name) == digest for name, digest in digests.items())
        except (OSError, ValueError, AttributeError):
            return False


def _identity(recipe: Recipe, seed: int) -> str:
    return f"# regdrop train recipe.yaml --seed {seed}\n{recipe.to_yaml()}"


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
