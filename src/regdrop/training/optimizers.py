"""The optimisers of a recipe."""

from typing import Any

import torch

from regdrop.training.settings import TrainSettings

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {"adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}


def optimizer_options(settings: TrainSettings) -> dict[str, Any]:
    """What the recipe's optimizer of `OPTIMIZERS` takes beside the parameters."""
    if settings.optimizer == "sgd":
        return {"lr": settings.learning_rate, "momentum": settings.momentum, "nesterov": settings.nesterov}
    betas = (settings.adam_beta1, settings.adam_beta2)
    # Fused: one visit of the weights instead of a dozen.
    return {"lr": settings.learning_rate, "betas": betas, "eps": settings.adam_epsilon, "fused": True}
