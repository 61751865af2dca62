"""`transformers.Trainer` as regdrop uses it: logs the parts of the loss, stops on NaN, evaluates any task."""

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PrinterCallback, Trainer, TrainingArguments
from transformers.trainer_pt_utils import LabelSmoother

from regdrop.errors import NonFiniteError
from regdrop.tasks.task import Splits, Task
from regdrop.training.progress import RunningMean
from regdrop.training.settings import TrainSettings

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {"adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}


class TaskTrainer(Trainer):  # type: ignore[misc]  # transformers is not typed
    """A Trainer for one task's data and score.

    Args:
        task: gives the score.
        splits: gives the data.
        model: what to train or evaluate.
        args: from `training_arguments`.
        settings: gives the optimiser.
        label_smoothing: of plain training; evaluations do without.
    """

    label_smoother: Any

    def __init__(
        self,
        task: Task,
        splits: Splits,
        model: nn.Module,
        args: TrainingArguments,
        settings: TrainSettings,
        *,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(
            model=model,
            args=args,
            data_collator=splits.collate,
            train_dataset=splits.train,
            eval_dataset=splits.validation,
            compute_metrics=task.score,
            preprocess_logits_for_metrics=task.condense,
            optimizer_cls_and_kwargs=(OPTIMIZERS[settings.optimizer], _optimizer_options(settings)),
        )
        self.remove_callback(PrinterCallback)
        if label_smoothing:
            self.label_smoother = LabelSmoother(epsilon=label_smoothing)
        self.running_loss = RunningMean()

    def training_step(self, *args: Any, **kwargs: Any) -> Tensor:
        """Make one forward and backward pass; stop where the loss is not finite, before the weights are changed."""
        loss: Tensor = super().training_step(*args, **kwargs)
        if not math.isfinite(loss.item()):
            raise self._not_finite("loss", loss.item(), self.state.global_step + 1)
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log a step of plain training with its loss as the task's; `attach` puts R-Drop's parts in its place."""
        if "loss" in logs:
            logs["task_loss"] = logs["loss"]
        super().log(logs, start_time)

    def evaluate(self, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any) -> dict[str, float]:
        """Evaluate by the task's own loss, without label smoothing; stop where it is not finite."""
        self.running_loss.clear()
        smoother, self.label_smoother = self.label_smoother, None
        try:
            metrics: dict[str, float] = super().evaluate(*args, metric_key_prefix=metric_key_prefix, **kwargs)
        finally:
            self.label_smoother = smoother
        loss = metrics[f"{metric_key_prefix}_loss"]
        if not math.isfinite(loss):
            raise self._not_finite(f"{metric_key_prefix} loss", loss, self.state.global_step)
        return metrics

    def prediction_step(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Evaluate one batch and note its loss."""
        step: tuple[Any, ...] = super().prediction_step(model, inputs, *args, **kwargs)
        self.running_loss.add(float(step[0]), len(inputs["labels"]))
        return step

    def _not_finite(self, what: str, value: float, step: int) -> NonFiniteError:
        if not self.state.max_steps:  # an evaluation on its own
            return NonFiniteError(f"{what} is {value}; these weights or data hold NaN or infinite numbers")
        saved = sorted(Path(self.args.output_dir).glob("checkpoint-*"), key=lambda path: path.stat().st_mtime)
        last = f"the last good checkpoint is {saved[-1]}" if saved else "there is no checkpoint yet"
        return NonFiniteError(
            f"{what} is {value} at step {step}; {last}; "
            f"train into another --out with a lower --train.learning_rate (now {self.args.learning_rate:g})"
        )


def training_arguments(settings: TrainSettings, folder: Path, seed: int, **more: Any) -> TrainingArguments:
    """What the Trainer has to know of the `train` section; `more` overrides."""
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=settings.steps,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.schedule,
        warmup_steps=settings.warmup_steps,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        per_device_eval_batch_size=settings.eval_batch,
        bf16=settings.precision == "bf16",
        fp16=settings.precision == "fp16",
        use_cpu=not torch.accelerator.is_available(),  # else several processes on a CPU would not find each other
        dataloader_num_workers=settings.workers,
        dataloader_pin_memory=torch.cuda.is_available(),
        seed=seed,
        remove_unused_columns=False,
        label_names=["labels"],
        disable_tqdm=True,
        report_to="none",
        **more,
    )
    micro, rounds = settings.accumulation(arguments.world_size)
    arguments.per_device_train_batch_size = micro
    arguments.gradient_accumulation_steps = rounds
    return arguments


def _optimizer_options(settings: TrainSettings) -> dict[str, Any]:
    return {"lr": settings.learning_rate, **({"momentum": settings.momentum} if settings.optimizer == "sgd" else {})}
