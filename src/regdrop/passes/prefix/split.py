"""The place in a forward where the passes part: before it they are one, from it on they are rows of their own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from regdrop.passes.dropout import NoiseSource
from regdrop.passes.prefix.trace import Trace

BESIDE = 4  # how many of the modules that are called beside functional noise may be the place


@dataclass(frozen=True, slots=True)
class Split:
    """Where the passes part.

    Attributes:
        name: path of the module at whose entry they do.
        module: that module.
        nth: how often it is called before.
        followers: what is called after it by the forwards that enclose it; those hold rows of one pass and of all.
        share: the part of the forward's floating-point operations that comes before.
    """

    name: str
    module: nn.Module
    nth: int
    followers: tuple[nn.Module, ...]
    share: float


def split_at(model: Any, seen: Trace, position: int) -> Split:
    """The split at the entry of one call of a trace.

    The output layer of a language model is no follower: it takes hidden states alone, and may be left out.
    """
    call = seen.calls[position]
    layer = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    later = [each.module for each in seen.calls[position + 1 :] if each.parents[-1] in call.parents]
    followers = dict.fromkeys(module for module in later if module is not call.module and module is not layer)
    name = next(name for name, module in model.named_modules() if module is call.module)
    return Split(name, call.module, call.nth, tuple(followers), call.flops / max(seen.flops, 1))


def before_first_noise(model: nn.Module, seen: Trace, sources: Sequence[NoiseSource]) -> Iterator[int]:
    """The calls at which the passes may part with no noise before, the latest first.

    The call that draws the noise, or what encloses it: a residual connection around the noise needs its rows too.
    """
    first, source = min(((_draws(model, seen, source)[0], source) for source in sources), key=_position)
    yield from _at(seen, first, source)
    yield from (at for at in reversed(seen.calls[first].parents) if at)


def before_last_noise(model: nn.Module, seen: Trace, sources: Sequence[NoiseSource]) -> Iterator[int]:
    """The calls at which the passes may part with the last noise alone behind, the latest first."""
    last, source = max(((_draws(model, seen, source)[-1], source) for source in sources), key=_position)
    yield from _at(seen, last, source)


def _position(draw: tuple[int, NoiseSource]) -> int:
    return draw[0]


def _draws(model: nn.Module, seen: Trace, source: NoiseSource) -> list[int]:
    """The calls that draw a noise: of its module or, where that only holds the rate, of what encloses it."""
    name = source.name
    while not (calls := seen.positions(model.get_submodule(name))):
        name = name.rpartition(".")[0]
    return calls


def _at(seen: Trace, position: int, source: NoiseSource) -> Iterator[int]:
    """One call; where its noise is functional it has no entry, and may come after modules that the call calls."""
    if source.kind == "functional dropout":
        yield from reversed(seen.inside(position)[-BESIDE:])
    if position:  # at the entry of the whole model nothing is shared
        yield position
