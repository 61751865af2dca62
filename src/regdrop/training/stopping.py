"""SIGTERM and Ctrl-C while training: the step is finished and saved, then the run ends."""

import signal
import threading
import time
from types import FrameType
from typing import Any

import torch
from transformers import Trainer, TrainerCallback

SIGNALS = (signal.SIGINT, signal.SIGTERM)
PATIENCE = 1.0  # seconds: torchrun repeats a signal that the terminal has sent to every process already


class StopRequest(TrainerCallback):  # type: ignore[misc]  # transformers is not typed
    """Within its context a first signal lets the current step end and be saved; another, a second later, acts at once.

    Of several processes one that is signalled is enough: they agree at the end of every step.

    Args:
        trainer: whose steps are ended.

    Attributes:
        agreed: the signal by which training was ended, 0 where it was not.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.agreed = 0
        self._trainer = trainer
        self._noted = 0
        self._since = 0.0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():  # Python allows no other to set handlers
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def on_step_end(self, _args: Any, _state: Any, control: Any, **_kwargs: Any) -> None:
        """Save and end where any process was signalled."""
        accelerator = self._trainer.accelerator
        self.agreed = int(accelerator.gather(torch.tensor([self._noted], device=accelerator.device)).max())
        if self.agreed:
            control.should_save = control.should_training_stop = True

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self._noted and time.monotonic() - self._since > PATIENCE:
            signal.signal(number, self._before[signal.Signals(number)])
            signal.raise_signal(number)
        elif not self._noted:
            self._noted, self._since = number, time.monotonic()
