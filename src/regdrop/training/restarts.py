"""A learning rate that falls along a cosine and starts again, as adaptive inputs are trained with."""

import math
from functools import partial

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from regdrop.training.settings import TrainSettings


def restarted_cosine(step: int, *, warmup: int, period: int, growth: float, shrink: float, floor: float) -> float:
    """The learning rate of a step as a share of its peak.

        shrink^i * (floor + (1 - floor) (1 + cos(pi t / T_i)) / 2),   T_i = period * growth^i

    for step t of the i-th period, after a linear warm-up.

    Args:
        step: how many optimizer steps were taken before.
        warmup: steps of the warm-up.
        period: steps of the first period, T_0.
        growth: each period is so many times as long as the one before.
        shrink: each period peaks at so much of the one before.
        floor: share of the peak at the end of the first period.

    Source: Loshchilov and Hutter, arXiv 1608.03983; `shrink` and the warm-up as in fairseq's cosine scheduler.

    Example:
        >>> settings = {"warmup": 2, "period": 4, "growth": 2.0, "shrink": 0.5, "floor": 0.0}
        >>> [round(restarted_cosine(step, **settings), 2) for step in (0, 1, 2, 4, 6, 10)]
        [0.0, 0.5, 1.0, 0.5, 0.5, 0.25]
    """
    if step < warmup:
        return step / warmup
    done, length, peak = float(step - warmup), float(period), 1.0
    while done >= length:
        done, length, peak = done - length, length * growth, peak * shrink
    return peak * (floor + (1 - floor) * (1 + math.cos(math.pi * done / length)) / 2)


def restarting_schedule(optimizer: Optimizer, settings: TrainSettings) -> LambdaLR:
    """The schedule of a recipe with `train.schedule: cosine_restarts`."""
    share = partial(
        restarted_cosine,
        warmup=settings.warmup_steps,
        period=settings.restart_period or settings.steps,
        growth=settings.restart_growth,
        shrink=settings.restart_shrink,
        floor=settings.min_learning_rate / (settings.learning_rate or 1.0),
    )
    return LambdaLR(optimizer, share)
