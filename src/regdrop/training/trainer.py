"""`transformers.Trainer` as regdrop uses it: logs the parts of the loss, stops on NaN, evaluates any task."""

import math
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler
from transformers import EvalPrediction, PrinterCallback, TrainingArguments

from regdrop.errors import NonFiniteError, RecipeError
from regdrop.tasks.task import Splits, Task
from regdrop.training.checkpointed import CheckpointedTrainer
from regdrop.training.consistency import ConsistencyMonitor
from regdrop.training.finite import FiniteGuard
from regdrop.training.numbered import NUMBERS, Numbered, NumberedCollate
from regdrop.training.optimizers import OPTIMIZERS, optimizer_options
from regdrop.training.plain import PlainLoss
from regdrop.training.progress import RunningMean
from regdrop.training.restarts import restarting_schedule
from regdrop.training.settings import TrainSettings


class TaskTrainer(CheckpointedTrainer):
    """A Trainer for one task's data and score.

    Args:
        task: gives the score.
        splits: gives the data.
        model: what to train or evaluate.
        args: from `training_arguments`.
        settings: gives the optimiser and the size of a batch.
        plain: the loss of training without R-Drop; None where `attach` brings the loss, and to evaluate.
        monitor: measures more at each evaluation of the validation part.
    """

    def __init__(
        self,
        task: Task,
        splits: Splits,
        model: nn.Module,
        args: TrainingArguments,
        settings: TrainSettings,
        *,
        plain: PlainLoss | None = None,
        monitor: ConsistencyMonitor | None = None,
    ) -> None:
        self._batches = _token_batches(splits, settings, args)  # refuses before a folder is made
        super().__init__(
            model=model,
            args=args,
            data_collator=NumberedCollate(splits.collate),
            train_dataset=Numbered(splits.train),
            eval_dataset=splits.validation,
            compute_metrics=self._score,
            optimizer_cls_and_kwargs=(OPTIMIZERS[settings.optimizer], optimizer_options(settings)),
        )
        self.remove_callback(PrinterCallback)
        self.running_loss = RunningMean()
        self._task = task
        self._part: Dataset[Any] = splits.validation
        self._plain = plain
        self._monitor = monitor
        self._settings = settings
        self._train_part: Any = splits.train
        self._guard = FiniteGuard(self, skips=settings.on_nonfinite == "skip")
        if plain is not None and plain.head.shifts:
            self._loss_shifts_labels = True  # else the first label of each row would count among the items

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Batches of so many items in random order, or those of the task, of so many tokens."""
        if self._batches is None:
            loader: DataLoader[Any] = super().get_train_dataloader()
            return loader
        prepared: DataLoader[Any] = self.accelerator.prepare(
            DataLoader(
                self.train_dataset,
                batch_sampler=self._batches,
                collate_fn=self.data_collator,
                num_workers=self.args.dataloader_num_workers,
                pin_memory=self.args.dataloader_pin_memory,
            )
        )
        return prepared

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Make the schedule of the recipe; transformers has all but one."""
        if self._settings.schedule == "cosine_restarts":
            self.lr_scheduler = restarting_schedule(optimizer or self.optimizer, self._settings)
        return super().create_scheduler(num_training_steps, optimizer)

    def begin_epoch(self, epoch: int) -> None:
        """Tell the training data and its batches which epoch begins."""
        parts: tuple[Any, ...] = (self._train_part, self._batches)
        for part in parts:
            if hasattr(part, "set_epoch"):
                part.set_epoch(epoch)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Compute the plain loss where it is wanted, else that of the model, which `attach` may have replaced."""
        if self._plain is None or not model.training:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        loss, outputs = self._plain(model, inputs, num_items_in_batch)
        if num_items_in_batch is not None:
            loss = loss * self.accelerator.num_processes  # whose gradients are averaged
        return (loss, outputs) if return_outputs else loss

    def training_step(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Tensor:
        """Make one forward and backward pass; stop or skip where it is not finite, before the weights are changed."""
        numbers = inputs.pop(NUMBERS).tolist()
        loss = super().training_step(model, inputs, *args, **kwargs)
        return self._guard.checked(loss, model, inputs, numbers)

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        self._guard.check_weights(self.model)
        super()._save_checkpoint(*args, **kwargs)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log a step of plain training with its loss as the task's; `attach` puts R-Drop's parts in its place."""
        if "loss" in logs:
            if self._guard.skipped:
                logs["loss"] = math.nan
            logs["task_loss"] = logs["loss"]
        super().log(logs, start_time)

    def evaluate(
        self, eval_dataset: Dataset[Any] | None = None, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any
    ) -> dict[str, float]:
        """Evaluate by the task's own loss, without label smoothing; stop where it is not finite."""
        self.running_loss.clear()
        self._part = self.eval_dataset if eval_dataset is None else eval_dataset
        metrics: dict[str, float] = super().evaluate(eval_dataset, *args, metric_key_prefix=metric_key_prefix, **kwargs)
        loss = metrics[f"{metric_key_prefix}_loss"]
        if not math.isfinite(loss):
            if not self.state.max_steps:  # an evaluation on its own
                raise NonFiniteError(
                    f"{metric_key_prefix} loss is {loss}; these weights or data hold NaN or infinite numbers"
                )
            raise self._guard.error(f"{metric_key_prefix} loss is {loss}", self.state.global_step)
        return metrics

    def prediction_step(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Evaluate one batch, keep what the score needs of it, and note its loss."""
        loss, outputs, labels = super().prediction_step(model, inputs, *args, **kwargs)
        kept = self._task.condense(outputs[0] if isinstance(outputs, tuple) else outputs, labels)
        self.running_loss.add(float(kept[0].sum()), float(kept[1].sum()))
        return loss, kept, labels

    def _score(self, evaluation: EvalPrediction) -> dict[str, float]:
        """The metrics of a part of the data, its loss last: the one place where that is divided."""
        losses, counts = (np.sum(column, dtype=float) for column in evaluation.predictions[:2])
        measured = {} if self._monitor is None else self._monitor.measure()
        return {**self._task.score(evaluation, self._part), **measured, "loss": float(losses / counts)}


def _token_batches(splits: Splits, settings: TrainSettings, args: TrainingArguments) -> Sampler[list[int]] | None:
    """The task's batches of so many tokens, where the recipe wants them.

    Raises:
        RecipeError: the task has none.
    """
    if settings.max_tokens is None:
        return None
    if splits.batches is None:
        raise RecipeError(
            f"train.max_tokens is {settings.max_tokens}, but this task's items have no tokens; leave it out"
        )
    return splits.batches(settings.max_tokens, args.seed)
