"""What a run does at the turns of its training: the data learns its epoch, what was saved is sealed."""

from typing import Any

from accelerate import PartialState
from transformers import TrainerCallback

from regdrop.training.folder import RunFolder
from regdrop.training.trainer import TaskTrainer


class Bookkeeping(TrainerCallback):  # type: ignore[misc]  # transformers is not typed
    """Tell the training data which epoch begins, and seal what was saved.

    Args:
        folder: of the run.
        every: steps from one checkpoint to the next.
        trainer: of the run.
    """

    def __init__(self, folder: RunFolder, every: int, trainer: TaskTrainer) -> None:
        self._folder = folder
        self._every = every
        self._trainer = trainer

    def on_epoch_begin(self, _args: Any, state: Any, _control: Any, **_kwargs: Any) -> None:
        """Tell the data."""
        self._trainer.begin_epoch(int(state.epoch))

    def on_save(self, _args: Any, state: Any, _control: Any, **_kwargs: Any) -> None:
        """Seal the checkpoint, once every process has written its part."""
        PartialState().wait_for_everyone()  # until each process has saved its random state
        if state.is_world_process_zero:
            # A pickle that nothing reads.
            (self._folder.checkpoint(state.global_step) / "training_args.bin").unlink()
            self._folder.seal(state.global_step)
            self._folder.drop_extra(state.global_step, self._every)
