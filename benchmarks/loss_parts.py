"""Where the time of a small loss goes, part by part: `python -m benchmarks.loss_parts`.

At 64 items of 3 classes no arithmetic counts: the time is that of calls. Each part is timed alone, its code and data
warm, so that together they make less than the whole.
"""

from statistics import median
from typing import Any

import torch
from torch import Tensor

from benchmarks.official import leaves, official
from benchmarks.records import markdown
from regdrop import r_drop_loss
from regdrop.losses.classification import classification_rows
from regdrop.losses.kernels.dispatch import choose
from regdrop.studies.cost.machine import Watch, describe
from regdrop.studies.cost.timing import Case, interleaved

ITEMS, CLASSES, ROUNDS = 64, 3, 25
BACKENDS = ("eager", "compile", "native")


class _Nothing(torch.autograd.Function):
    """A Function in Python that computes nothing: what autograd takes for any."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor) -> Tensor:
        ctx.save_for_backward(torch.empty_like(logits))
        return torch.empty(())

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> Tensor:  # noqa: ARG004
        return ctx.saved_tensors[0]


def cases() -> list[Case]:
    """The official snippet, the parts, and the whole of every backend."""
    logits, target = leaves(2, ITEMS, CLASSES, torch.float32)
    passes = [one.requires_grad_() for one in logits.detach()]

    def rows() -> Any:
        return classification_rows(logits, target, 1.0, -100, None, 0.0, None, "mean", None)[0]

    def forget() -> None:
        for tensor in (logits, *passes):
            tensor.grad = None

    ready, grad = rows(), torch.empty_like(logits).detach()
    found = [
        Case("official snippet", lambda: official(*passes, target, 1.0).backward(), forget),
        Case("a bare autograd Function and its backward", lambda: _Nothing.apply(logits).backward(), forget),
        Case("checks of the arguments", rows),
    ]
    for name in BACKENDS:
        kernel = choose(name, logits)
        found.append(Case(f"{name}: kernel", lambda kernel=kernel: kernel(ready, grad)))
        whole = lambda name=name: r_drop_loss(logits, target, alpha=1.0, backend=name).loss.backward()  # noqa: E731
        found.append(Case(f"{name}: whole loss", whole, forget))
    return found


def main() -> None:
    """Run and print the table."""
    watch = Watch()
    samples = interleaved(cases(), ROUNDS, between=watch.probe)
    reference = median(samples["official snippet"])
    rows = [[name, f"{median(s) * 1e6:.1f}", f"{reference / median(s):.1f}x"] for name, s in samples.items()]
    print(markdown(["part", "us", "against official"], rows))
    print(f"\n{describe()}\n{watch.notice() or 'Nothing else ran on the machine.'}")


if __name__ == "__main__":
    main()
