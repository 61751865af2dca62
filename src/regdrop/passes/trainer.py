"""R-Drop's numbers in the log records of a transformers.Trainer."""

from functools import partial
from typing import Any

from regdrop.errors import UnsupportedError
from regdrop.passes.handle import RDropHandle


def is_trainer(candidate: Any) -> bool:
    """Whether it is a transformers.Trainer, told by what it has, so that transformers need not be imported."""
    return all(hasattr(candidate, name) for name in ("model", "callback_handler", "compute_loss"))


def declare_shift(model: Any, trainer: Any, handle: RDropHandle) -> None:
    """Have the Trainer count the items of a causal language model without the first label of each row.

    It goes by the model's `loss_type`, which some classes (`GPT2LMHeadModel`) leave open, and would count labels that
    nothing predicts. A Trainer that is built later reads the model's; one that exists already is told.

    Args:
        model: the model that computes the loss.
        trainer: a transformers.Trainer, or None.
        handle: undoes it on `remove`.
    """
    changes: list[tuple[Any, str, object]]
    changes = [(model, "loss_type", "ForCausalLM")] if getattr(model, "loss_type", "") is None else []
    if trainer is not None and not getattr(trainer, "_loss_shifts_labels", True):
        changes.append((trainer, "_loss_shifts_labels", True))
    for owner, name, value in changes:
        handle.on_remove(partial(setattr, owner, name, getattr(owner, name)))
        setattr(owner, name, value)


def attach_callback(trainer: Any, handle: RDropHandle) -> None:
    """Put `kl` and `task_loss` into every training log record of a Trainer, ahead of what reports it.

    Args:
        trainer: a transformers.Trainer.
        handle: R-Drop on the Trainer's model; it is removed again where the Trainer is refused.

    Raises:
        UnsupportedError: the Trainer takes the labels out of the model's arguments, or makes its model anew.
    """
    reason = _refusal(trainer)
    if reason:
        handle.remove()
        raise UnsupportedError(reason)
    from transformers import TrainerCallback

    class RDropCallback(TrainerCallback):  # type: ignore[misc]
        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
            handle.begin_step(state.global_step)

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **kwargs: Any) -> None:  # noqa: ARG002
            if "loss" in logs:
                metrics = handle.pop_metrics(gather=True)
                logs.update(metrics)
                state.log_history[-1].update(metrics)

    callback = RDropCallback()
    trainer.callback_handler.callbacks.insert(0, callback)
    handle.on_remove(partial(trainer.remove_callback, callback))


def _refusal(trainer: Any) -> str | None:
    if trainer.label_smoother is not None:
        return "label_smoothing_factor takes the labels from the model; use attach(..., label_smoothing=...) instead"
    if trainer.compute_loss_func is not None:
        return "compute_loss_func takes the labels from the model; leave it out, R-Drop brings its own loss"
    if trainer.model_init is not None:
        return "this Trainer makes its model anew from model_init; call attach on the model inside model_init instead"
    return None
