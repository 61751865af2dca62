"""One training step as something to time: forward, loss, backward and optimizer, in one of several ways."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from regdrop.errors import InputError
from regdrop.passes.attach import attach
from regdrop.passes.outputs import map_tensors, tensors_in
from regdrop.studies.cost.timing import Case
from regdrop.studies.cost.ways import Way


@dataclass(frozen=True, slots=True)
class Workload:
    """What a step works on.

    Attributes:
        model: returns a loss and logits; in train mode.
        batch: its keyword arguments, labels among them; every tensor has the batch's size in front.
        optimizer: of the model's parameters.
        autocast: the dtype of the forward's autocast, None for none.
    """

    model: nn.Module
    batch: dict[str, Any]
    optimizer: torch.optim.Optimizer
    autocast: torch.dtype | None = None

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device


def step_case(way: Way, work: Workload, alpha: float, **options: Any) -> Case:
    """A step of a workload in some way, on a copy of the model that shares the weights.

    Args:
        way: how.
        work: on what; the model itself is left as it is.
        alpha: weight of the divergence.
        options: of `attach`, in every way with R-Drop that has none of its own.

    Raises:
        InputError: the batch cannot be cut as the way needs it.
        NoNoiseError: the model has no noise of the kind that the way needs.
        UnsupportedError: this model cannot be trained so.
    """
    model = _sharing_copy(work.model)
    parts = list(_parts(work.batch, way.cuts))
    if way.options is not None:
        attach(model, alpha, **{**options, **way.options, **way.demands})

    def step() -> None:
        for share, part in parts:
            with torch.autocast(work.device.type, work.autocast, enabled=work.autocast is not None):
                loss = model(**part).loss
            (share * loss).backward()
        work.optimizer.step()
        if work.device.type != "cpu":
            torch.accelerator.synchronize()

    return Case(way.name, step, work.optimizer.zero_grad)


def _sharing_copy(model: nn.Module) -> nn.Module:
    """A copy of the modules around the same parameters, so that hooks on one do not act in another."""
    return deepcopy(model, {id(parameter): parameter for parameter in model.parameters()})


def _parts(batch: dict[str, Any], cuts: int) -> Iterator[tuple[float, dict[str, Any]]]:
    """Parts of a batch of about one size, each with its share of the rows."""
    rows = min(len(tensor) for tensor in tensors_in(batch))
    if rows < cuts:
        raise InputError(f"a micro-batch of {rows} cannot be cut into {cuts} parts")
    for at in range(cuts):
        part = map_tensors(lambda tensor, at=at: tensor.tensor_split(cuts)[at], batch)
        yield next(len(tensor) for tensor in tensors_in(part)) / rows, part
