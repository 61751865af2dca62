"""Watches that loss, gradient, weights and data stay finite, and says where they did not."""

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from transformers import Trainer

from regdrop.errors import NonFiniteError
from regdrop.training.folder import RunFolder
from regdrop.training.lock import is_first_process

SHOWN = 8  # items and rows an error names

_log = logging.getLogger(__name__)


class FiniteGuard:
    """Ends a run, or leaves a step out, where numbers are not finite.

    With a gradient scaler (fp16 on an accelerator) an infinite gradient is the scaler's business: it leaves the step
    out and lowers its scale.

    Args:
        trainer: whose steps are watched.
        skips: leave the steps out whose gradient is not finite: weights and moments stay, the schedule goes on. Where
            the weights are not finite themselves, the run ends all the same.

    Attributes:
        skipped: whether the last step was left out.
    """

    def __init__(self, trainer: Trainer, *, skips: bool) -> None:
        self.skipped = False
        self._trainer = trainer
        self._skips = skips
        self._numbers: list[int] = []
        self._wrong: str | None = None

    def checked(self, loss: Tensor, model: nn.Module, inputs: Mapping[str, Any], numbers: Sequence[int]) -> Tensor:
        """The loss of a micro-batch after its backward pass; 0 for one that is not finite, in a step to skip.

        Args:
            loss: a number.
            model: holds weights and gradients.
            inputs: of the model.
            numbers: the items' places in the training data.

        Raises:
            NonFiniteError: something is not finite; names step, items, parameter.
        """
        self._numbers += numbers
        if not math.isfinite(loss.item()):
            self._wrong = self._wrong or f"loss is {loss.item()}{cause(model, inputs, numbers)}"
            if not self._skips:
                raise self._error()
            loss = torch.zeros_like(loss)
        if self._trainer.accelerator.sync_gradients:
            self._end_step(model)
        return loss

    def check_weights(self, model: nn.Module) -> None:
        """Refuse weights that are not finite, before they are saved."""
        name = first_nonfinite(model.named_parameters())
        if name is not None:
            raise self.error(f"weight {name} holds NaN or inf", self._trainer.state.global_step)

    def error(self, what: str, step: int) -> NonFiniteError:
        """The error that says what is wrong at a step, which checkpoint is good, and what to do."""
        arguments = self._trainer.args
        return NonFiniteError(
            f"{what} at step {step}; {last_good(Path(arguments.output_dir))}; train into another --out with a lower "
            f"--train.learning_rate (now {arguments.learning_rate:g}), or with --train.on_nonfinite skip"
        )

    def _end_step(self, model: nn.Module) -> None:
        self.skipped = False
        if self._trainer.accelerator.scaler is None:
            norm = _gradient_norm(model)
            if not math.isfinite(norm):
                name = first_nonfinite((name, weight.grad) for name, weight in model.named_parameters())
                self._wrong = self._wrong or f"the gradient of {name or 'all weights'} is not finite (norm {norm})"
                self.skipped = self._skips and first_nonfinite(model.named_parameters()) is None
            if self._wrong and not self.skipped:
                raise self._error()
            if self.skipped:
                self._leave_out(model)
        self._numbers, self._wrong = [], None

    def _leave_out(self, model: nn.Module) -> None:
        model.zero_grad(set_to_none=True)  # the optimizer passes over weights without a gradient
        if is_first_process():
            _log.warning("step %d is left out: %s; %s", self._step, self._wrong, _items(self._numbers))

    def _error(self) -> NonFiniteError:
        return self.error(f"{self._wrong}, {_items(self._numbers)},", self._step)

    @property
    def _step(self) -> int:
        return int(self._trainer.state.global_step) + 1


def first_nonfinite(tensors: Iterable[tuple[str, Any]]) -> str | None:
    """The name of the first tensor of floating point numbers that holds NaN or inf.

    Example:
        >>> first_nonfinite([("a", torch.ones(2)), ("b", torch.tensor([1.0, float("nan")]))])
        'b'
    """
    return next((name for name, value in tensors if isinstance(value, Tensor) and not value.isfinite().all()), None)


def cause(model: nn.Module, inputs: Mapping[str, Any], numbers: Sequence[int]) -> str:
    """Whether data or weights explain a loss that is not finite: a clause, empty where they do not."""
    name = first_nonfinite(inputs.items())
    if name is not None:
        rows = (~inputs[name].isfinite()).reshape(len(inputs[name]), -1).any(1)
        wrong = [number for number, row in zip(numbers, rows.tolist(), strict=False) if row]
        return f" ({name} of {_items(wrong)} holds NaN or inf)"
    name = first_nonfinite(model.named_parameters())
    return "" if name is None else f" (weight {name} holds NaN or inf)"


def last_good(path: Path) -> str:
    """Which checkpoint of a run's folder is good, as a clause of an error."""
    folder = RunFolder(path)
    step = folder.last_checkpoint()
    return f"the last good checkpoint is {folder.checkpoint(step)}" if step else "there is no checkpoint yet"


def _gradient_norm(model: nn.Module) -> float:
    norm: Any = get_total_norm([weight.grad for weight in model.parameters() if weight.grad is not None])
    return float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)


def _items(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, sorted(numbers)[:SHOWN]))
    more = f" and {len(numbers) - SHOWN} more" if len(numbers) > SHOWN else ""
    return f"items {shown}{more} of the training data"
