"""RDropHandle: the hooks that `attach` puts on a model, and what they measured."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from regdrop.errors import UnsupportedError
from regdrop.passes.batch import Call
from regdrop.passes.dropout import require_noise
from regdrop.passes.forward import TrainingForward
from regdrop.passes.full import full_output
from regdrop.passes.labels import LabelTaker
from regdrop.passes.loss import PassLoss, pass_loss
from regdrop.passes.modes import start
from regdrop.passes.options import PassOptions
from regdrop.passes.output_layer import OutputLayer
from regdrop.passes.request import Passes, Request


class RDropHandle:
    """What `attach` returns: the hooks on one model; change `alpha`, read what was measured, remove.

    Attributes:
        module: the module that carries the hooks.
        alpha: weight of the divergence; may be changed while training, a schedule for example.
        options: the options of `attach`; they stay as they were when it was called.
        kl: divergence per valid item in the last training forward, detached; None before and in a plain step. It is
            Eq. 2 of the paper whatever `penalty` is, so that they can be compared.
        task_loss: task loss per valid item, summed over the passes, in the last training forward; detached.

    Example:
        >>> from regdrop import attach
        >>> handle = attach(nn.Sequential(nn.Linear(8, 3), nn.Dropout(0.1)), alpha=1.0, labels="input")
        >>> handle.alpha = 0.5
        >>> handle.pop_metrics()  # before the first training forward
        {}
        >>> handle.remove()
    """

    def __init__(
        self,
        module: nn.Module,
        taker: LabelTaker,
        alpha: float,
        options: PassOptions,
        layer: OutputLayer | None,
    ) -> None:
        self.module = module
        self.alpha = alpha
        self.options = options
        self.kl: Tensor | None = None
        self.task_loss: Tensor | None = None
        self._taker = taker
        self._layer = layer
        self._pending: TrainingForward | None = None
        self._inside = False
        self._checked = False
        self._step: int | None = None
        self._forwards = 0
        self._totals: dict[str, Tensor] = {}
        self._undo: list[Callable[[], None]] = [
            module.register_forward_pre_hook(self._before, with_kwargs=True).remove,
            module.register_forward_hook(self._after).remove,
            module.register_forward_hook(self._abandon, always_call=True).remove,
        ]
        if layer is not None:
            self._undo.append(module.register_forward_hook(layer.put_back, always_call=True).remove)

    def remove(self) -> None:
        """Take everything back that `attach` did; the model is as it was."""
        self._forget()
        while self._undo:
            self._undo.pop()()

    def on_remove(self, undo: Callable[[], None]) -> None:
        """Have something undone by `remove`."""
        self._undo.append(undo)

    def begin_step(self, step: int) -> None:
        """Say which optimizer step begins, so that `every` counts those; without it, every training forward is a step.

        Args:
            step: how many optimizer steps were taken before.
        """
        self._step = step

    def pop_metrics(self, *, gather: bool = False) -> dict[str, float]:
        """Means per valid item over the training forwards since the last call.

        Args:
            gather: over the items of all processes of `torch.distributed`; then each of them has to call.

        Returns:
            `{"kl": ..., "task_loss": ...}`; empty when there was no training forward, without "kl" when all were plain.
        """
        totals, self._totals = self._totals, {}
        if gather and torch.distributed.is_available() and torch.distributed.is_initialized():
            for total in totals.values():
                torch.distributed.all_reduce(total)
        return {name: float(total[0] / total[1]) for name, total in totals.items() if total[1] > 0}

    # Under torch.compile the hooks stay outside of the graphs, and the model's own forward is compiled.
    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _before(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        if self._inside:
            return None
        self._forget()  # the forward before, if it was interrupted: that calls no hook
        if not module.training:
            return None
        if getattr(module, "_is_replica", False):
            raise UnsupportedError("R-Drop does not act under nn.DataParallel; use DistributedDataParallel (torchrun)")
        labelled = self._taker.take(Call(args, kwargs))
        if labelled.targets is None:
            self._refuse_unlabelled(kwargs)
            return None
        if not self._checked:
            require_noise(module, per_row=self.options.per_row)
            self._checked = True
        self._pending = TrainingForward(module, labelled, self.options.passes, None if self._rests() else self._begin)
        self._pending.layer = self._leave_layer_out(self._pending.first)
        return self._pending.first

    def _refuse_unlabelled(self, kwargs: dict[str, Any]) -> None:
        """Without labels there is no loss to replace: right while sampling, a mistake where gradients are wanted."""
        if torch.is_grad_enabled():
            raise UnsupportedError(
                f"the training forward got no {' and '.join(self._taker.head.labels)} (keywords: {', '.join(kwargs)}), "
                "so there is no loss to replace; pass them, or call the model under torch.no_grad() or in eval mode"
            )

    def _rests(self) -> bool:
        """Whether this forward is a plain one."""
        step = self._forwards if self._step is None else self._step
        self._forwards += 1
        return step % self.options.every != 0

    def _begin(self, call: Call) -> Passes:
        return start(Request(self.module, call, self.options, self._aside))

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _after(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:  # noqa: ARG002 - a hook's signature
        pending, self._pending = self._pending, None
        if pending is None:
            return None
        stacked = pending.stacked(output)
        taker, share = self._taker, pending.twin_share(self.options)
        alpha = self.alpha / share  # rows without a twin have no divergence: those with one stand for them
        # A plain step has no divergence: the KL of its one pass is 0 and costs no pass of the full model.
        options = replace(self.options, penalty="kl") if pending.plain else self.options
        full = full_output(module, self._aside, pending.call) if options.penalty == "full_kl" else None
        result = pass_loss(taker.model, taker.head, stacked, pending.labelled, alpha, options, pending.layer, full)
        result = replace(result, kl=result.kl / share)
        self._record(result, pending.plain)
        return pending.returned(stacked, result.loss)

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _abandon(self, *_: object) -> None:
        """Where the forward raised, its mode takes its hooks off the model at once."""
        self._pending = None

    def _forget(self) -> None:
        """Take back what a forward under way has done to the model."""
        self._abandon()
        self._put_layer_back()

    def _put_layer_back(self) -> None:
        if self._layer is not None:
            self._layer.put_back()

    def _leave_layer_out(self, call: Call) -> OutputLayer | None:
        """Leave the output layer out of the coming forward, which puts it back; None where that is not to be had."""
        return None if self._layer is None else self._layer.left_out(call, self._taker.head.labels)

    def _aside(self, call: Call) -> Any:
        """A forward aside from the caller's, called as a module so that the hooks of others act too."""
        self._inside = True
        try:
            self._leave_layer_out(call)
            return self.module(*call.args, **call.kwargs)
        finally:
            self._inside = False
            self._put_layer_back()

    def _record(self, result: PassLoss, plain: bool) -> None:
        self.task_loss, self.kl = result.task_loss, None if plain else result.kl
        for name, value in (("kl", self.kl), ("task_loss", self.task_loss)):
            if value is not None:
                total = torch.stack([value * result.items, result.items.to(value.dtype)])
                self._totals[name] = self._totals[name] + total if name in self._totals else total
