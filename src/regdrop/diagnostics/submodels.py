"""The full model, and the sub-models that its noise draws; the model is left as it was."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from regdrop.passes.batch import Call
from regdrop.passes.dropout import NoiseSource
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


@contextmanager
def silenced(model: nn.Module, sources: Sequence[NoiseSource]) -> Iterator[None]:
    """Set the rate of some noise sources to 0 for a while.

    Example:
        >>> from regdrop.passes.dropout import noise_sources
        >>> model = nn.Sequential(nn.Dropout(0.1))
        >>> with silenced(model, noise_sources(model)):
        ...     model[0].p
        0.0
        >>> model[0].p
        0.1
    """
    owners = [(model.get_submodule(source.name), source.attribute) for source in sources]
    rates = [getattr(owner, attribute) for owner, attribute in owners]
    try:
        for owner, attribute in owners:
            setattr(owner, attribute, 0.0)
        yield
    finally:
        for (owner, attribute), rate in zip(owners, rates, strict=True):
            setattr(owner, attribute, rate)


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
