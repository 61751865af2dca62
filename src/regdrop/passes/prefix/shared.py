"""The modes that run a part of the model once: what precedes all noise, "shared", or the last noise, "head"."""

import logging

from regdrop.errors import UnsupportedError
from regdrop.passes.batch import batch_size, repeat_batch
from regdrop.passes.prefix.parting import parted_by_pass, parting
from regdrop.passes.prefix.search import drop_split, find_split
from regdrop.passes.repeated import by_pass, concat
from regdrop.passes.request import Passes, Request

LOG = logging.getLogger("regdrop")


def parted(request: Request) -> Passes:
    """One forward, of B rows up to the split and of all passes from there on.

    A batch of one row is repeated as a whole in mode "shared": BatchNorm could not normalise it.

    Raises:
        UnsupportedError: there is no place to part, or this forward does not come by it, where one is insisted on.
    """
    options, size = request.options, batch_size(request.call)
    split = None if options.runs == "shared" and size == 1 else find_split(request)
    if split is None:
        return (yield from concat(request))
    with parting(split, size, options.passes, options.shared) as state:
        output = yield request.call
    if state.happened:
        return parted_by_pass(output, options.passes, size)
    if options.insists:
        raise UnsupportedError(
            f"this forward did not come by {split.name!r}, where the passes part in mode={options.runs!r}; "
            "use mode='concat' without share_prefix"
        )
    LOG.info("R-Drop: a forward did not come by %r; from now on the whole batch is repeated", split.name)
    drop_split(request)
    return by_pass(request.forward(repeat_batch(request.call, options.passes, options.shared)), options.passes, size)
