"""The ways to run K passes, by name; `paired_forward` and `attach` begin them here."""

from regdrop.passes.options import ModeName
from regdrop.passes.repeated import concat, sequential
from regdrop.passes.replay import replay
from regdrop.passes.request import Mode, Passes, Request

MODES: dict[ModeName, Mode] = {"concat": concat, "sequential": sequential, "replay": replay}


def start(request: Request) -> Passes:
    """Begin the mode that the options name."""
    return MODES[request.options.mode](request)
