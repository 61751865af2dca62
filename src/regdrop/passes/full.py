"""The full model: no noise, no gradient, and no trace of having been run."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from typing import Any

import torch
from torch import nn

from regdrop.passes.batch import Call


def full_output(model: nn.Module, forward: Callable[[Call], Any], call: Call) -> Any:
    """What a model returns in eval mode, as at inference: all of its units, running statistics where it has such.

    Afterwards modes and the random state of every device in use are as before; running statistics are not updated in
    eval mode, and nothing that was cast for it stays in the cache of autocast.

    Args:
        model: whose noise is to be off.
        forward: runs it.
        call: with these arguments.

    Example:
        >>> model = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5))
        >>> full_output(model, lambda call: model(*call.args), Call((torch.zeros(2, 3),), {})).sum(), model.training
        (tensor(0.), True)
    """
    with torch.no_grad(), random_state_kept(model), in_eval_mode(model):
        output = forward(call)
    torch.clear_autocast_cache()  # what was cast without a graph would be used in the next forward
    return output


@contextmanager
def in_eval_mode(model: nn.Module) -> Iterator[None]:
    """Switch all noise off while the block runs."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def random_state_kept(model: nn.Module) -> Iterator[None]:
    """Leave torch's random state, of the CPU and of every device of the model, as it was before the block."""
    devices = {tensor.device for tensor in chain(model.parameters(), model.buffers())}
    with ExitStack() as states:
        states.enter_context(torch.random.fork_rng(devices=[]))
        for kind in {device.type for device in devices} - {"cpu", "meta"}:
            indices = [device.index for device in devices if device.type == kind]
            states.enter_context(torch.random.fork_rng(indices, device_type=kind))
        yield
