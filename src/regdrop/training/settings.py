"""The sections of a recipe that every task shares: the regulariser and the training."""

from dataclasses import dataclass
from typing import Any, Literal

from regdrop.errors import InputError, RecipeError
from regdrop.losses.penalty import PenaltyName
from regdrop.passes.options import ModeName, PassOptions
from regdrop.tasks.sections import ONE_OR_MORE, ZERO_OR_MORE, check_ranges

DECAY = (0, 0.999999)
Schedule = Literal["constant_with_warmup", "cosine", "cosine_restarts", "inverse_sqrt", "linear", "polynomial"]


@dataclass(frozen=True, slots=True)
class RDropSettings:
    """The `rdrop` section: how strongly the passes are pulled together, or not at all.

    The scale of the loss. With R-Drop the loss is the paper's: cross-entropies *summed* over the passes (about
    `passes` times the usual mean) plus alpha times the divergence. Without it, it is the model's usual mean
    cross-entropy. Nothing is multiplied to make them alike. Adam is indifferent to the scale as long as gradients are
    not clipped, so recipes that are meant for comparisons use AdamW and `max_grad_norm: 0`. SGD is not: with R-Drop
    its steps are about `passes` times as large at the same learning rate, and clipping at a norm bites earlier. SGD
    recipes follow the paper's form; a comparison by them has to say so, or set the baseline's learning rate to
    `passes` times R-Drop's.

    Attributes:
        enabled: False trains plainly, one pass a step.
        alpha: weight of the divergence, in regdrop's convention.
        alpha_warmup_steps: steps over which alpha grows linearly from 0.
        passes: forward passes a step, at least 2.
        every: apply R-Drop at every so-manieth step only.
        mode: how the passes run; they differ in cost, and `head` in the method. `regdrop plan` measures them.
        twin_fraction: the share of a batch that is run a second time, in modes `concat` and `sequential`; the loss is
            an unbiased estimate of the whole batch's.
        pass_dropout: one dropout rate a pass, with commas between, in the place of every rate of the model that is not
            0; the passes run one after another. null: the model's own rates.
        penalty: what alpha weighs: the paper's "kl" or, to compare it with, "logit_mse" or "full_kl".
        label_smoothing: mass spread evenly over the classes while training, with or without R-Drop.
    """

    enabled: bool = True
    alpha: float = 1.0
    alpha_warmup_steps: int = 0
    passes: int = 2
    every: int = 1
    mode: ModeName = "concat"
    twin_fraction: float = 1.0
    pass_dropout: str | None = None
    penalty: PenaltyName = "kl"
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        amounts = {"alpha": ZERO_OR_MORE, "alpha_warmup_steps": ZERO_OR_MORE, "every": ONE_OR_MORE}
        check_ranges("rdrop", self, **amounts, passes=(2, 64), label_smoothing=(0, 1))
        try:
            PassOptions(**self.options())
        except InputError as error:
            raise RecipeError(f"section rdrop: {error}") from error

    def options(self) -> dict[str, Any]:
        """What `attach` takes beside alpha."""
        names = ("passes", "every", "mode", "twin_fraction", "penalty", "label_smoothing")
        return {name: getattr(self, name) for name in names} | {"pass_dropout": self._rates()}

    def _rates(self) -> tuple[float, ...] | None:
        if self.pass_dropout is None:
            return None
        try:
            return tuple(map(float, self.pass_dropout.split(",")))
        except ValueError:
            raise RecipeError(
                f"rdrop.pass_dropout is {self.pass_dropout[:40]!r}, but must be numbers with commas between; "
                "write 0.1,0.3 for two passes"
            ) from None


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """The `train` section: optimisation, evaluation and precision.

    Attributes:
        steps: optimiser steps in all.
        batch_size: items a step in all, over accumulation and processes, before the passes repeat them; tokens where
            `max_tokens` is given.
        learning_rate: at its peak.
        eval_every: evaluate on the validation part and save a checkpoint after so many steps, and after the last.
        micro_batch: items a process takes at once; None: the whole batch divided by the processes.
        max_tokens: a process takes items of like length at once, as many as have so many tokens with their padding;
            None: `micro_batch` items of any length.
        eval_batch: items a process evaluates at once.
        optimizer: "adamw" or "sgd".
        adam_beta1: decay of AdamW's mean of the gradient.
        adam_beta2: decay of AdamW's mean of the squared gradient.
        adam_epsilon: added to AdamW's denominator.
        momentum: of SGD.
        nesterov: SGD looks ahead along its momentum.
        weight_decay: on all weights but biases and normalisation.
        schedule: of the learning rate after the warm-up.
        warmup_steps: steps of linear growth of the learning rate from 0.
        restart_period: "cosine_restarts" only: steps until the first restart; None: all.
        restart_growth: each further period is so many times as long as the one before.
        restart_shrink: each further period begins at so much of the learning rate before.
        min_learning_rate: "cosine_restarts" only: where the first period ends.
        max_grad_norm: clip the gradient to this global norm; 0 does not clip.
        consistency_items: measure the KL between sub-models on the first so many validation items at each evaluation,
            with R-Drop or without; training does not feel it. 0 does not measure.
        average_last: the final weights are the mean of so many last checkpoints; None: the checkpoint that does best on
            the validation part.
        precision: "fp32", or autocast to "bf16" or "fp16".
        on_nonfinite: what to do where a step's loss or gradient is NaN or infinite: "stop" the run, or "skip" the step.
        workers: processes that load data; 0 loads in the training process.
    """

    steps: int
    batch_size: int
    learning_rate: float
    eval_every: int
    micro_batch: int | None = None
    max_tokens: int | None = None
    eval_batch: int = 256
    optimizer: Literal["adamw", "sgd"] = "adamw"
    adam_beta1: float = 0.9
    adam_beta2: float = 0.999
    adam_epsilon: float = 1e-8
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 0.0
    schedule: Schedule = "cosine"
    warmup_steps: int = 0
    restart_period: int | None = None
    restart_growth: float = 1.0
    restart_shrink: float = 1.0
    min_learning_rate: float = 0.0
    max_grad_norm: float = 0.0
    consistency_items: int = 0
    average_last: int | None = None
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    on_nonfinite: Literal["stop", "skip"] = "stop"
    workers: int = 0

    def __post_init__(self) -> None:
        counts: tuple[str, ...] = ("steps", "batch_size", "eval_every", "micro_batch", "max_tokens", "eval_batch")
        counts += ("restart_period", "restart_growth", "average_last")
        amounts: tuple[str, ...] = ("learning_rate", "momentum", "weight_decay", "warmup_steps", "max_grad_norm")
        amounts += ("adam_epsilon", "min_learning_rate", "workers", "consistency_items")
        ranges = {**dict.fromkeys(counts, ONE_OR_MORE), **dict.fromkeys(amounts, ZERO_OR_MORE)}
        check_ranges("train", self, **ranges, adam_beta1=DECAY, adam_beta2=DECAY, restart_shrink=(0, 1))
        if self.nesterov and not self.momentum:
            raise RecipeError("train.nesterov looks ahead along the momentum, but train.momentum is 0; set one of them")
        if self.micro_batch is not None and self.max_tokens is not None:
            raise RecipeError(
                f"train.micro_batch {self.micro_batch} counts items and train.max_tokens {self.max_tokens} tokens; "
                "leave one of them out"
            )

    def accumulation(self, processes: int) -> tuple[int, int]:
        """Items, or tokens, a process takes at once, and how many such rounds make one step.

        Raises:
            RecipeError: they do not make up `batch_size`.

        Example:
            >>> TrainSettings(steps=1, batch_size=512, learning_rate=1.0, eval_every=1, micro_batch=32).accumulation(4)
            (32, 4)
        """
        micro = self.max_tokens or self.micro_batch or max(1, self.batch_size // processes)
        rounds, rest = divmod(self.batch_size, micro * processes)
        if rest or not rounds:
            raise RecipeError(
                f"train.batch_size {self.batch_size} is not a multiple of "
                f"train.{'max_tokens' if self.max_tokens else 'micro_batch'} {micro} x {processes} processes; "
                "change one of them"
            )
        return micro, rounds
