"""The `train` section of a recipe in the words of `transformers.TrainingArguments`."""

from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments

from regdrop.training.settings import TrainSettings


def training_arguments(settings: TrainSettings, folder: Path, seed: int, **more: Any) -> TrainingArguments:
    """What the Trainer has to know of the `train` section; `more` overrides."""
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=settings.steps,
        learning_rate=settings.learning_rate,
        # TaskTrainer.create_scheduler makes the one that transformers has not.
        lr_scheduler_type="constant" if settings.schedule == "cosine_restarts" else settings.schedule,
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
