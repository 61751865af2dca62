"""Passes at different dropout rates: in every pass all places that drop units do so at the rate of that pass."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

from regdrop.errors import NoNoiseError, UnsupportedError
from regdrop.passes.dropout import NoiseSource, noise_sources
from regdrop.passes.repeated import stacked
from regdrop.passes.request import Passes, Request

# What drops units one by one; drop path and layer drop leave out whole parts of a model, at rates of another size.
KINDS = frozenset({"dropout", "functional dropout", "LoRA dropout"})
RECOMPUTING = ("gradient_checkpointing", "grad_checkpointing")  # flags on modules of transformers and of timm


def at_own_rates(request: Request) -> Passes:
    """One forward a pass, the caller's first, each at its own dropout rate.

    Raises:
        NoNoiseError: nothing drops units in this model.
        UnsupportedError: parts of the model run again in backward, when the rate of their pass is gone.
    """
    model, (rate, *others) = request.model, request.options.pass_dropout or ()
    sources = dropping_units(model)
    _refuse_recomputation(model)
    with at_rate(model, sources, rate):
        first = yield request.call

    def aside(rate: float) -> Any:
        with at_rate(model, sources, rate):
            return request.forward(request.call)

    return stacked(request, first, *map(aside, others))


def dropping_units(model: nn.Module) -> list[NoiseSource]:
    """The places of a model that drop units now; where the rate is 0 none are dropped, and none will be.

    Raises:
        NoNoiseError: there are none.

    Example:
        >>> model = nn.Sequential(nn.Dropout(0.1), nn.Dropout(0.0))
        >>> [source.name for source in dropping_units(model)]
        ['0']
    """
    found = [source for source in noise_sources(model) if source.active and source.kind in KINDS]
    if not found:
        raise NoNoiseError(
            f"pass_dropout sets the rate wherever {type(model).__name__} drops units, but nothing in it does; build it "
            "with a dropout rate above 0 and call model.train()"
        )
    return found


@contextmanager
def at_rate(model: nn.Module, sources: Sequence[NoiseSource], rate: float) -> Iterator[None]:
    """Give some noise sources another rate while the block runs; afterwards each has its own, whatever happened.

    Example:
        >>> model = nn.Sequential(nn.Dropout(0.1))
        >>> with at_rate(model, noise_sources(model), 0.3):
        ...     model[0].p
        0.3
        >>> model[0].p
        0.1
    """
    owners = [(model.get_submodule(source.name), source.attribute) for source in sources]
    rates = [getattr(owner, attribute) for owner, attribute in owners]
    try:
        for owner, attribute in owners:
            setattr(owner, attribute, rate)
        yield
    finally:
        for (owner, attribute), former in zip(owners, rates, strict=True):
            setattr(owner, attribute, former)


def _refuse_recomputation(model: nn.Module) -> None:
    for name, module in model.named_modules():
        if type(module).__name__ == "CheckpointWrapper" or any(getattr(module, flag, False) for flag in RECOMPUTING):
            raise UnsupportedError(
                f"pass_dropout does not go with gradient checkpointing, which {name or 'the model'} has on: its second "
                "run would drop at another rate than its first; switch it off, or leave pass_dropout out"
            )
