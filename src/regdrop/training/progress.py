"""What a person sees on standard error while a model trains and is evaluated."""

import sys
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm
from transformers import TrainerCallback

TIMINGS = ("runtime", "_per_second", "preparation_time")


class TrainingProgress(TrainerCallback):  # type: ignore[misc]  # transformers is not typed
    """A bar with the loss and its parts, and one line an evaluation; leaving its context closes the bar."""

    def __init__(self) -> None:
        self._bar: Any = None

    def __enter__(self) -> "TrainingProgress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def on_train_begin(self, _args: Any, state: Any, _control: Any, **_kwargs: Any) -> None:
        """Open the bar."""
        hidden = not state.is_world_process_zero
        # In a log file a redrawn bar is one more line: there, one a minute will do.
        pace = 0.1 if sys.stderr.isatty() else 60.0
        bar = {"unit": "step", "leave": False, "mininterval": pace, "disable": hidden}
        self._bar = tqdm(total=state.max_steps, initial=state.global_step, **bar)

    def on_step_end(self, *_args: Any, **_kwargs: Any) -> None:
        """Advance the bar."""
        self._bar.update()

    def on_log(self, _args: Any, state: Any, _control: Any, logs: dict[str, Any], **_kwargs: Any) -> None:
        """Show the parts of the loss, or the metrics of an evaluation."""
        if "loss" in logs:
            parts = {"loss": logs["loss"], "CE": logs["task_loss"], "KL": logs.get("kl")}
            shown = {name: f"{value:.4f}" for name, value in parts.items() if value is not None}
            self._bar.set_postfix(shown, refresh=False)
        elif "eval_loss" in logs and state.is_world_process_zero:
            metrics = ", ".join(f"{name} {value:.4f}" for name, value in metrics_of(logs, "eval_").items())
            self._bar.write(f"step {state.global_step}: validation {metrics}", file=sys.stderr)


@dataclass(slots=True)
class RunningMean:
    """A mean over values that come in batches.

    Example:
        >>> mean = RunningMean()
        >>> mean.add(total=3.0, weight=3)
        >>> mean.add(total=2.0, weight=1)
        >>> mean.value
        1.25
    """

    total: float = 0.0
    weight: float = 0.0

    def add(self, total: float, weight: float) -> None:
        """Count `weight` values that sum to `total`."""
        self.total += total
        self.weight += weight

    def clear(self) -> None:
        """Start anew."""
        self.total = self.weight = 0.0

    @property
    def value(self) -> float:
        """The mean so far."""
        return self.total / self.weight


class EvaluationProgress(TrainerCallback):  # type: ignore[misc]  # transformers is not typed
    """A bar over the batches of an evaluation with the mean loss so far."""

    def __init__(self, loss: RunningMean) -> None:
        self._loss = loss
        self._bar: Any = None

    def on_prediction_step(self, _args: Any, state: Any, _control: Any, eval_dataloader: Any, **_kwargs: Any) -> None:
        """Advance the bar."""
        if self._bar is None:
            hidden = not state.is_world_process_zero
            self._bar = tqdm(total=len(eval_dataloader), unit="batch", leave=False, disable=hidden)
        self._bar.update()
        self._bar.set_postfix(loss=f"{self._loss.value:.4f}")

    def on_evaluate(self, *_args: Any, **_kwargs: Any) -> None:
        """Close the bar."""
        self._bar.close()
        self._bar = None


def metrics_of(logs: dict[str, Any], prefix: str) -> dict[str, float]:
    """The metrics among the logs of a Trainer, without their prefix and without timings.

    Example:
        >>> metrics_of({"eval_loss": 0.5, "eval_runtime": 3.0, "epoch": 1.0}, "eval_")
        {'loss': 0.5}
    """
    named = {key.removeprefix(prefix): value for key, value in logs.items() if key.startswith(prefix)}
    return {key: value for key, value in named.items() if not key.endswith(TIMINGS)}
