"""`transformers.Trainer` whose checkpoints are saved and read back with one line where that fails."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from transformers import Trainer, TrainerState

from regdrop.errors import CheckpointError
from regdrop.training.finite import last_good
from regdrop.training.shortage import is_short

STATE = "trainer_state.json"


class CheckpointedTrainer(Trainer):  # type: ignore[misc]  # transformers is not typed
    """A Trainer that refuses a checkpoint it cannot write or cannot continue from; nothing in one is run.

    transformers reads weights with safetensors and all else with `torch.load(weights_only=True)` and JSON, and lets
    their errors out.

    Raises:
        CheckpointError: the disk is full or gone; a file is damaged, hostile or of another run. Names the checkpoint.
    """

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        try:
            super()._save_checkpoint(*args, **kwargs)
        except (OSError, RuntimeError, SafetensorError) as error:  # what each writer makes of a full disk
            raise CheckpointError(
                f"cannot save step {self.state.global_step} in {self.args.output_dir} ({_reason(error)}); "
                f"make room there and continue with --resume; {last_good(Path(self.args.output_dir))}"
            ) from error

    def _load_from_checkpoint(self, resume_from_checkpoint: str, *args: Any, **kwargs: Any) -> None:
        with _refused(resume_from_checkpoint):
            _check_state(Path(resume_from_checkpoint))
            super()._load_from_checkpoint(resume_from_checkpoint, *args, **kwargs)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        with _refused(checkpoint):
            super()._load_optimizer_and_scheduler(checkpoint)

    def _load_scaler(self, checkpoint: str | None) -> None:
        with _refused(checkpoint):
            super()._load_scaler(checkpoint)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        with _refused(checkpoint):
            super()._load_rng_state(checkpoint)


def _check_state(checkpoint: Path) -> None:
    """Refuse a state that transformers would trip over later."""
    step = TrainerState.load_from_json(str(checkpoint / STATE)).global_step
    if step != int(checkpoint.name.removeprefix("checkpoint-")):
        raise ValueError(f"{STATE} is that of step {step!r}")


@contextmanager
def _refused(checkpoint: str | None) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # each reader raises whatever it trips over
        if is_short(error):
            raise
        raise CheckpointError(
            f"{checkpoint} cannot be continued from ({_reason(error)}); remove it, then pass --resume"
        ) from error


def _reason(error: Exception) -> str:
    """The first sentence: PyTorch goes on with advice to read the file all the same."""
    return " ".join(f"{type(error).__name__}: {error}".split()).partition(". ")[0][:200]
