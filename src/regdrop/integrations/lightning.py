"""R-Drop under Lightning, imported as `lightning` or as `pytorch_lightning`: one callback."""

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from torch import nn

from regdrop.errors import InputError, MissingExtraError, NoNoiseError
from regdrop.passes.attach import RDropHandle, attach

__all__ = ["RDropCallback"]


def _callback_class() -> Any:
    """Of the package that is imported already, else of one that is installed; a Trainer of either runs both."""
    for name in sorted(("lightning.pytorch", "pytorch_lightning"), key=lambda name: name not in sys.modules):
        if find_spec(name.partition(".")[0]) is not None:
            return import_module(name).Callback
    raise MissingExtraError("lightning", "lightning")


class RDropCallback(_callback_class()):  # type: ignore[misc]  # a class that is known at run time alone
    """Attach R-Drop to a network inside a LightningModule while it is fitted, and log `kl` and `task_loss`.

        loss = sum_k task(z_k, y) + alpha * mean over pairs a<b of 1/2 [KL(p_a||p_b) + KL(p_b||p_a)],   z_k: pass k

    is what the network returns as its loss in `training_step`, as the mean over the valid items of the batch. Lightning
    averages it over `accumulate_grad_batches` batches and over the processes: the gradient is that of the mean over the
    whole window where these have equally many items. Where they have not (tokens), that is a mean of means;
    docs/trainers.md has the few lines that make it exact.

    Logged are means per valid item over all processes and all steps since the last record, every `log_every_n_steps`.

    Args:
        alpha: weight of the divergence; see `regdrop.attach`.
        network: name of the attribute of the LightningModule that holds the network, a dotted path if it is deeper;
            its forward takes labels and returns a loss. Not the LightningModule itself, since Lightning's distributed
            strategies call that with a batch and its index.
        options: of `regdrop.attach`. A step of `every` is an optimizer step.

    Attributes:
        handle: the `RDropHandle` while a fit is under way, else None; `handle.alpha` may be changed.

    Raises:
        InputError: the LightningModule has no such network (when the fit starts).
        NoNoiseError: all dropout rates are 0, or the network is in eval mode (when the fit starts).
        MissingExtraError: Lightning is not installed (on import).

    Source: Eq. 4 and Algorithm 1 of arXiv 2106.14448.

    Relations: `regdrop.attach` is what it calls; a `training_step` of your own needs `paired_forward` and
    `r_drop_loss` alone, and no callback.

    Example:
        >>> callback = RDropCallback(alpha=1.0, network="model.encoder", every=2)
        >>> callback.network, callback.options
        ('model.encoder', {'every': 2})
    """

    def __init__(self, alpha: float, network: str = "model", **options: Any) -> None:
        self.alpha = alpha
        self.network = network
        self.options = options
        self.handle: RDropHandle | None = None

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        """Attach."""
        self.handle = attach(self._find(pl_module), self.alpha, **self.options)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        """Refuse a network in eval mode, which Lightning would leave so."""
        if self.handle and not self.handle.module.training:
            raise NoNoiseError(
                f"the network {self.network!r} is in eval mode, as from_pretrained leaves it, and Lightning does not "
                f"change that; call self.{self.network}.train() in the LightningModule's __init__"
            )

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:  # noqa: ARG002
        """Say which optimizer step it is."""
        if self.handle:
            self.handle.begin_step(trainer.global_step)

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:  # noqa: ARG002
        """Log the means where Lightning writes a record after this step."""
        every = trainer.log_every_n_steps
        if self.handle and every and (trainer.global_step + 1) % every == 0:
            pl_module.log_dict(self.handle.pop_metrics(gather=True))

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        """Detach."""
        self._detach()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:  # noqa: ARG002
        """Detach after an interruption too."""
        self._detach()

    def _detach(self) -> None:
        if self.handle:
            self.handle.remove()
            self.handle = None

    def _find(self, pl_module: nn.Module) -> nn.Module:
        try:
            found = pl_module.get_submodule(self.network)
        except AttributeError:
            found = pl_module
        if found is pl_module:
            names = ", ".join(name for name, _ in pl_module.named_children())
            raise InputError(
                f"{type(pl_module).__name__} holds no network {self.network!r} (it holds: {names}); name the one whose "
                "forward returns the loss, RDropCallback(alpha, network='...')"
            )
        return found
