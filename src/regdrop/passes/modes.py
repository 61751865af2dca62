"""The ways to run K passes, by name; `paired_forward` and `attach` begin them here."""

from regdrop.passes.options import ModeName
from regdrop.passes.prefix.shared import parted
from regdrop.passes.rates import at_own_rates
from regdrop.passes.repeated import concat, sequential
from regdrop.passes.replay import replay
from regdrop.passes.request import Mode, Passes, Request
from regdrop.passes.twins import concat_twins, sequential_twins

MODES: dict[ModeName, Mode] = {
    "concat": concat,
    "sequential": sequential,
    "shared": parted,
    "head": parted,
    "replay": replay,
}
WITH_TWINS: dict[ModeName, Mode] = {"concat": concat_twins, "sequential": sequential_twins}


def start(request: Request) -> Passes:
    """Begin the mode that the options name."""
    options = request.options
    if options.pass_dropout is not None:
        return at_own_rates(request)
    return (MODES if options.twin_fraction == 1 else WITH_TWINS)[options.runs](request)
