"""The mode `replay`: passes of which no activations are kept, since their forward runs again when a gradient is due."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from regdrop.passes.batch import Call
from regdrop.passes.outputs import tensors_in
from regdrop.passes.repeated import stacked
from regdrop.passes.request import Passes, Request


def replay(request: Request) -> Passes:
    """One forward a pass, the caller's last; the others keep no activations."""
    earlier = [replayed(request.model, request.forward, request.call) for _ in range(request.options.passes - 1)]
    last = yield request.call
    return stacked(request, *earlier, last)


def replayed(model: nn.Module, forward: Callable[[Call], Any], call: Call) -> Any:
    """Run a forward of which nothing but its result is kept, and once more in backward.

    The second run has the random state (of the CPU and of every device in use), the autocast state and the buffers of
    the first, so that its gradients equal those of kept activations bit for bit; what it writes to buffers, such as the
    running statistics of BatchNorm, is dropped. Autograd takes what ran last first: the activations of passes that run
    after this one are freed before its own come into being. The model must not be changed in between, and noise from
    elsewhere than torch's generators (`random`, numpy) would not repeat itself.

    Args:
        model: whose buffers and devices they are.
        forward: runs it.
        call: with these arguments.

    Source: Chen et al., arXiv 1604.06174 (recomputation), for a whole forward, by `torch.utils.checkpoint`.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5))
        >>> output = replayed(model, lambda call: model(*call.args), Call((torch.ones(2, 4),), {}))
        >>> output.sum().backward()
        >>> model[0].weight.grad.shape
        torch.Size([4, 4])
    """
    buffers = FormerBuffers(model)
    return checkpoint(
        lambda *_: forward(call),
        *_one_tensor_a_device(model, call),
        use_reentrant=False,
        context_fn=lambda: (nullcontext(), buffers),
    )


def _one_tensor_a_device(model: nn.Module, call: Call) -> Iterator[Tensor]:
    """Where random states are to be saved: `checkpoint` looks at the tensors it is given."""
    devices = {tensor.device for tensor in (*tensors_in(call), *model.parameters())}
    return (torch.empty(0, device=device) for device in devices)


class FormerBuffers:
    """A context in which a model has copies of the buffers it had when this was made."""

    def __init__(self, model: nn.Module) -> None:
        self._places = [(module, *named) for module in model.modules() for named in module.named_buffers(recurse=False)]
        self._former = {id(buffer): buffer.clone() for *_, buffer in self._places}
        self._present: list[Tensor] = []

    def __enter__(self) -> None:
        self._present = [getattr(module, name) for module, name, _ in self._places]
        copies = {key: buffer.clone() for key, buffer in self._former.items()}
        for module, name, buffer in self._places:
            setattr(module, name, copies[id(buffer)])

    def __exit__(self, *_: object) -> None:
        for (module, name, _former), buffer in zip(self._places, self._present, strict=True):
            setattr(module, name, buffer)
        self._present.clear()
