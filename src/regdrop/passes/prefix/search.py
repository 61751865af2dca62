"""Finding where the passes of a model may part: proposed by the order of its modules, decided by a trial."""

import logging
from collections.abc import Hashable, Iterable, Iterator, Sequence
from weakref import WeakKeyDictionary

import torch
from torch import nn

from regdrop.errors import InputError, UnsupportedError, nearest
from regdrop.passes.dropout import NoiseSource, noise_sources
from regdrop.passes.prefix.split import Split, before_first_noise, before_last_noise, split_at
from regdrop.passes.prefix.trace import Trace, trace
from regdrop.passes.prefix.trial import aside, one_line, refusal_of_exact, refusal_of_twins, two_rows
from regdrop.passes.request import Request

LEAST_SHARE = 0.05  # of a forward; what the hooks cost is worth no less
SHARDED = frozenset({"FSDPModule", "FullyShardedDataParallel"})  # FSDP2 and FSDP1, by the names of their classes
LOG = logging.getLogger("regdrop")
_FOUND: WeakKeyDictionary[nn.Module, dict[Hashable, Split | None]] = WeakKeyDictionary()


def find_split(request: Request) -> Split | None:
    """Where the passes of a request part; None where the whole batch has to be repeated, which is logged.

    It is looked for once for each set of noise that acts in the model, and remembered as long as the model lives.

    Args:
        request: in mode "shared" no noise may come before, and the passes equal those of "concat" under the same random
            state, which is tried on two rows; in mode "head" only the last noise comes after.

    Raises:
        InputError: `share_prefix` names no module.
        UnsupportedError: there is no such place, in mode "head" or where `share_prefix` insists.
    """
    sources = [source for source in noise_sources(request.model) if source.active]
    found, key = _FOUND.setdefault(request.model, {}), _key(request, sources)
    if key not in found:
        found[key] = _announced(request, _search(request, sources))
    return found[key]


def drop_split(request: Request) -> None:
    """Have the whole batch repeated from now on: the forward is another one than that which was tried."""
    for key in _FOUND.get(request.model, {}):
        _FOUND[request.model][key] = None


def _key(request: Request, sources: Sequence[NoiseSource]) -> Hashable:
    options = request.options
    acting = tuple((source.name, source.attribute) for source in sources)
    return options.runs, options.share_prefix, options.passes, tuple(options.shared), acting


def _announced(request: Request, found: Split | str) -> Split | None:
    """Say what was found; refuse where there is no other way."""
    mode = request.options.runs
    if isinstance(found, Split):
        LOG.info("R-Drop: %.1f %% of a forward, up to %r, run once for all passes", 100 * found.share, found.name)
        return found
    if mode == "head":
        raise UnsupportedError(
            f"mode='head' needs noise behind the residual connections of the model, but {found}; put nn.Dropout before "
            "the output layer, name a module where the passes may part, share_prefix='...', or use mode='shared'"
        )
    if request.options.insists:
        raise UnsupportedError(
            f"share_prefix={request.options.share_prefix!r} cannot be had: {found}; use share_prefix='auto', or name "
            "another module"
        )
    LOG.info("R-Drop: mode=%r runs as 'concat': %s", mode, found)
    return None


def _search(request: Request, sources: Sequence[NoiseSource]) -> Split | str:
    """A split that holds, or why there is none."""
    model, named = request.model, request.options.named_module
    module = None if named is None else _module_named(model, named)
    if any(not SHARDED.isdisjoint(parent.__name__ for parent in type(part).__mro__) for part in model.modules()):
        return "the model is sharded"
    sample = two_rows(request)
    with aside(model):
        try:
            with torch.no_grad():
                seen = trace(model, lambda: sample.forward(sample.call))
        except Exception as error:  # whatever a model raises, the whole batch can be repeated
            return f"{type(model).__name__} cannot be tried on two rows, {one_line(error)}"
        if module is None:
            return _first_that_holds(sample, seen, _places(request, seen, sources))
        calls = seen.positions(module)[:1]
        return _first_that_holds(sample, seen, calls, least=0.0) if calls else f"{named!r} is not called"


def _places(request: Request, seen: Trace, sources: Sequence[NoiseSource]) -> Iterator[int]:
    return (before_last_noise if request.options.runs == "head" else before_first_noise)(request.model, seen, sources)


def _first_that_holds(sample: Request, seen: Trace, places: Iterable[int], least: float = LEAST_SHARE) -> Split | str:
    """The first of the proposed places that a trial does not refuse."""
    refusal_of = refusal_of_twins if sample.options.runs == "head" else refusal_of_exact
    reasons = []
    for position in places:
        split = split_at(sample.model, seen, position)
        if split.share < least:
            reasons.append(f"only {100 * split.share:.0f} % of a forward come before {split.name!r}")
            break
        refusal = refusal_of(sample, split)
        if refusal is None:
            return split
        reasons.append(f"the passes cannot part at {split.name!r}: {refusal}")
        LOG.debug("R-Drop: %s", reasons[-1])
    return "; ".join(reasons[-2:]) or "its noise is not inside of a module that it calls"


def _module_named(model: nn.Module, name: str) -> nn.Module:
    names: dict[str, nn.Module] = dict(model.named_modules(remove_duplicate=False))
    if name not in names or not name:
        raise InputError(f"share_prefix={name!r} names no module of {type(model).__name__}: {nearest(name, names)}")
    return names[name]
