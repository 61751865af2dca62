"""The full model, and the sub-models that its noise draws; the model is left as it was."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from regdrop.passes.batch import Call
from regdrop.passes.outputs import logits_of


@contextmanager
def preserved(model: nn.Module, seed: int) -> Iterator[None]:
    """Draw noise from a seed and keep no gradients; afterwards modes, buffers and torch's random state are as before.

    Args:
        model: whatever happens to it inside, its parameters must not change.
        seed: of torch's random state.
    """
    modes = [(module, module.training) for module in model.modules()]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    with torch.no_grad(), torch.random.fork_rng(list(range(torch.cuda.device_count()))):
        torch.manual_seed(seed)
        try:
            yield
        finally:
            for module, training in modes:
                module.training = training
            for buffer, value in buffers:
                buffer.copy_(value)


def switch_noise_on(model: nn.Module) -> None:
    """Train mode, save for normalisation with running statistics: only the noise is to differ from the full model."""
    model.train()
    for module in model.modules():
        if isinstance(module, _NormBase):
            module.eval()


def answers(model: nn.Module, call: Call, names: Sequence[str], times: int) -> list[tuple[Tensor, ...]]:
    """The logits of several forwards in the model's present mode.

    Args:
        model: any module.
        call: its arguments, for one forward.
        names: of the logits in its output.
        times: how many forwards.

    Returns:
        For each forward one tensor a name.
    """
    return [logits_of(model(*call.args, **call.kwargs), names) for _ in range(times)]
