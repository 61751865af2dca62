"""One JSON object a line for every optimiser step and evaluation, written as it happens."""

import json
import math
import time
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from regdrop.training.folder import write
from regdrop.training.progress import metrics_of


class RecordWriter(TrainerCallback):  # type: ignore[misc]  # transformers is not typed
    """Append the log of a Trainer to a file, line by line.

    A step becomes `step, seconds, loss, task_loss, kl, lr, grad_norm` (`kl` null without R-Drop; `task_loss` summed
    over the passes as in `RDropOutput`), an evaluation `step, seconds, eval_<metric> ...`. Seconds count the time
    spent training, over all sessions of the run.

    Args:
        path: of the file.
        step: continue after this step; what the file holds beyond it is dropped, since those steps are made again.
    """

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        self._before = keep_records(path, step)
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds spent on the run so far."""
        return self._before + time.perf_counter() - self._start

    def on_train_begin(self, *_args: Any, **_kwargs: Any) -> None:
        """Start the clock."""
        self._start = time.perf_counter()

    def on_log(self, _args: Any, state: Any, _control: Any, logs: dict[str, Any], **_kwargs: Any) -> None:
        """Write one line for a step or an evaluation on the validation part."""
        record = {} if math.isnan(logs.get("loss", 0.0)) else _record(logs)  # a step that was left out
        if record and state.is_world_process_zero:
            line = json.dumps({"step": state.global_step, "seconds": round(self.seconds, 4), **record})
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")


def _record(logs: dict[str, Any]) -> dict[str, Any]:
    if "loss" in logs:
        named = {"loss": logs["loss"], "task_loss": logs["task_loss"], "kl": logs.get("kl")}
        return {**named, "lr": logs["learning_rate"], "grad_norm": logs.get("grad_norm")}
    return {f"eval_{key}": value for key, value in metrics_of(logs, "eval_").items()}


def keep_records(path: Path, step: int) -> float:
    """Drop the records after `step` and a line cut short; returns the seconds of the last one kept, or 0."""
    kept: list[str] = []
    seconds = 0.0
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            record = json.loads(line)
        except ValueError:
            break
        if record["step"] <= step:
            kept.append(line + "\n")
            seconds = record["seconds"]
    write(path, "".join(kept))
    return seconds
