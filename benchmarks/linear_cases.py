"""What the benchmark of output layer and loss compares: peers, backends, and the matrix products that all need."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import linear

from benchmarks.official import careful, official
from regdrop import linear_r_drop_loss, r_drop_loss
from regdrop.losses.head import Head, head_rows
from regdrop.losses.kernels import Parts, Rows
from regdrop.studies.cost.timing import Case

FLOOR, OWN = "three matmuls", "three matmuls, in the same chunks"
BACKENDS = ("eager", "native")


@dataclass(frozen=True, slots=True)
class Size:
    """One problem: hidden states `(2, items, features)`, so `items` counts those of one pass.

    Attributes:
        features: of a hidden state, D.
        classes: V.
        items: N.
        dtype: of hidden states and weight.
    """

    features: int
    classes: int
    items: int
    dtype: str = "float32"

    @property
    def logits_bytes(self) -> int:
        """Bytes of the full logits of both passes."""
        return 2 * self.items * self.classes * getattr(torch, self.dtype).itemsize

    @property
    def gradient_bytes(self) -> int:
        """Bytes of the gradients handed out: hidden states and weight."""
        return (2 * self.items + self.classes) * self.features * getattr(torch, self.dtype).itemsize


@lru_cache(maxsize=1)  # one copy for all cases of a size: at the largest, a weight and its gradient are 1 GB
def tensors(size: Size) -> tuple[Tensor, Tensor, Tensor]:
    """Hidden states, weight and target, seeded; the logits have a standard deviation of about 2."""
    generator = torch.Generator().manual_seed(0)
    dtype = getattr(torch, size.dtype)
    hidden = torch.randn(2, size.items, size.features, generator=generator).to(dtype).requires_grad_()
    weight = torch.randn(size.classes, size.features, generator=generator) * (2 * size.features**-0.5)
    return hidden, weight.to(dtype).requires_grad_(), torch.randint(size.classes, (size.items,), generator=generator)


SIZES = (
    Size(512, 32000, 4096),
    Size(512, 32000, 4096, "bfloat16"),
    Size(768, 50257, 2048),
    Size(1024, 128256, 1024),
)
SHORT = (Size(512, 32000, 512), Size(512, 32000, 512, "bfloat16"))


def _official(hidden: Tensor, weight: Tensor, target: Tensor) -> Tensor:
    return official(linear(hidden[0], weight), linear(hidden[1], weight), target, 1.0)


def _careful(hidden: Tensor, weight: Tensor, target: Tensor) -> Tensor:
    return careful(linear(hidden[0], weight), linear(hidden[1], weight), target, 1.0)


def _logits(hidden: Tensor, weight: Tensor, target: Tensor) -> Tensor:
    return r_drop_loss(linear(hidden, weight), target, alpha=1.0, inplace=True).loss


LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "F.linear + official snippet": _official,
    "F.linear + careful version": _careful,
    "F.linear + r_drop_loss in place": _logits,
}
for _backend in BACKENDS:
    LOSSES[f"linear_r_drop_loss, {_backend}"] = lambda hidden, weight, target, backend=_backend: (
        linear_r_drop_loss(hidden, weight, target, alpha=1.0, backend=backend).loss
    )


def case(name: str, size: Size) -> Case:
    """Build one case."""
    hidden, weight, target = tensors(size)
    if name == FLOOR:
        return _floor(hidden.detach().flatten(0, 1), weight.detach())
    if name == OWN:
        return _own(hidden.detach(), weight.detach(), target)

    def forget() -> None:
        hidden.grad = weight.grad = None

    return Case(name, lambda: LOSSES[name](hidden, weight, target).backward(), forget)


def _floor(hidden: Tensor, weight: Tensor) -> Case:
    logits = hidden.new_empty(len(hidden), len(weight))
    of_hidden, of_weight = torch.empty_like(hidden), torch.empty_like(weight)

    def products() -> None:
        torch.mm(hidden, weight.t(), out=logits)
        torch.mm(logits, weight, out=of_hidden)
        torch.mm(logits.t(), hidden, out=of_weight)

    return Case(FLOOR, products)


def _own(hidden: Tensor, weight: Tensor, target: Tensor) -> Case:
    """All that `linear_r_drop_loss` does but the loss."""
    logits = hidden.new_empty(()).expand(*hidden.shape[:-1], len(weight))
    rows, nothing = Rows(logits, target, 1 / len(target), summed=True), torch.zeros(())

    def kernel(rows: Rows, grad: Tensor | None) -> Parts:  # noqa: ARG001
        return nothing, nothing, nothing

    return Case(OWN, lambda: head_rows(Head(hidden, weight, None), rows, kernel, (True, True, False)))
