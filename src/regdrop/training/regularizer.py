"""The regulariser that a recipe asks for, put on a trainer; alpha may warm up."""

from typing import Any

from transformers import TrainerCallback

from regdrop.errors import NoNoiseError
from regdrop.passes.attach import RDropHandle, attach
from regdrop.training.settings import RDropSettings


def attach_as_set(trainer: Any, settings: RDropSettings) -> RDropHandle:
    """Put R-Drop on a trainer as the `rdrop` section of a recipe says.

    Args:
        trainer: a transformers.Trainer.
        settings: with R-Drop enabled.

    Raises:
        NoNoiseError: the model has no active dropout; says which key of a recipe to change.
        UnsupportedError: this model cannot be trained so.
    """
    try:
        handle = attach(trainer, settings.alpha, **settings.options())
    except NoNoiseError as error:
        raise NoNoiseError(f"{error}. In a recipe: --model.dropout 0.1, or --rdrop.enabled false") from error
    if settings.alpha_warmup_steps:
        trainer.add_callback(AlphaWarmup(handle, settings.alpha_warmup_steps))
    return handle


class AlphaWarmup(TrainerCallback):  # type: ignore[misc]  # transformers is not typed
    """Sets a handle's alpha before every step, by the step alone, so that a resumed run goes on as if uninterrupted.

    Args:
        handle: whose `alpha` is the one after the warm-up.
        steps: over how many it grows.
    """

    def __init__(self, handle: RDropHandle, steps: int) -> None:
        self._handle = handle
        self._alpha = handle.alpha
        self._steps = steps

    def on_step_begin(self, _args: Any, state: Any, _control: Any, **_kwargs: Any) -> None:
        """Set the alpha of the step that begins."""
        self._handle.alpha = warmed_alpha(self._alpha, state.global_step, self._steps)


def warmed_alpha(alpha: float, step: int, warmup_steps: int) -> float:
    """The weight of the divergence in one step: `alpha * min(1, step / warmup_steps)`.

    Args:
        alpha: after the warm-up.
        step: how many optimizer steps were taken before.
        warmup_steps: over how many it grows, at least 1.

    Example:
        >>> [warmed_alpha(2.0, step, warmup_steps=4) for step in range(6)]
        [0.0, 0.5, 1.0, 1.5, 2.0, 2.0]
    """
    return alpha * min(1.0, step / warmup_steps)
