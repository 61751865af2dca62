"""The R-Drop loss of given logits, value and backward, against its peers: `python -m benchmarks.loss --help`.

The floor is a copy of the logits: whoever returns their gradient reads and writes as much. All cases of one size run
interleaved in one process, each with memory that is there already (fresh pages of a virtual machine would make the
peers look up to three times worse). Peak extra memory, the gradient included, is measured in a fresh process each.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from benchmarks.loss_page import FLOOR, INPLACE, Record, headline, page, picture, table
from benchmarks.official import careful, leaves, official
from benchmarks.records import write, write_json
from regdrop import r_drop_loss
from regdrop.studies.cost.machine import Watch, describe
from regdrop.studies.cost.memory import peak_extra_bytes
from regdrop.studies.cost.timing import Case, interleaved, keep_memory_warm
from regdrop.training.peak import give_memory_back

COMMAND = "python -m benchmarks.loss"
BACKENDS = ("eager", "compile", "native")


@dataclass(frozen=True, slots=True)
class Size:
    """One problem: logits `(2, items, classes)`, so `items` counts those of one pass."""

    items: int
    classes: int
    dtype: str = "float32"

    @property
    def title(self) -> str:
        """How people read it."""
        return f"N = {self.items:,} items a pass, V = {self.classes:,} classes, {self.dtype}"

    @property
    def logits_bytes(self) -> int:
        """Bytes of the logits of both passes."""
        return 2 * self.items * self.classes * getattr(torch, self.dtype).itemsize


SIZES = (
    Size(64, 3),
    Size(256, 100),
    Size(2048, 1000),
    Size(4096, 32000),
    Size(2048, 50257),
    Size(1024, 128256),
    Size(4096, 32000, "bfloat16"),
)
SHORT = (Size(64, 3), Size(256, 100), Size(2048, 1000), Size(512, 32000))
# Below this a process's own memory is larger than what is to be measured.
LEAST_BYTES_FOR_MEMORY = 1 << 26

PEERS: dict[str, Callable[..., Tensor]] = {
    "official snippet": official,
    "official snippet under torch.compile": torch.compile(official),
    "careful version": careful,
}
CASES = (*PEERS, *BACKENDS, INPLACE, FLOOR)


class _Output(torch.autograd.Function):
    """Logits as a model hands them out: not a leaf, in memory that nobody else needs."""

    @staticmethod
    def forward(ctx: Any, anchor: Tensor, buffer: Tensor) -> Tensor:  # noqa: ARG004
        return buffer.detach()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, None]:  # noqa: ARG004
        return None, None


@lru_cache(maxsize=1)
def _tensors(size: Size) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, target and a buffer of the logits' size, shared by the cases of one size."""
    logits, target = leaves(2, size.items, size.classes, getattr(torch, size.dtype))
    return logits, target, logits.detach().clone()


def case(name: str, size: Size) -> Case:
    """Build one case."""
    logits, target, buffer = _tensors(size)
    if name in PEERS:
        # Two passes, two tensors: the peers never stack them.
        passes = [one.requires_grad_() for one in logits.detach()]
        return _backward_of(name, passes, lambda: PEERS[name](*passes, target, 1.0))
    if name in BACKENDS:
        return _backward_of(name, [logits], lambda: r_drop_loss(logits, target, alpha=1.0, backend=name).loss)
    source = logits.detach()
    if name == FLOOR:
        return Case(name, lambda: buffer.copy_(source))
    anchor = torch.zeros((), requires_grad=True)

    def inplace() -> None:
        output = _Output.apply(anchor, buffer)
        r_drop_loss(output, target, alpha=1.0, backend="native", inplace=True).loss.backward()

    return Case(name, inplace, lambda: buffer.copy_(source))


def _backward_of(name: str, inputs: Sequence[Tensor], loss: Callable[[], Tensor]) -> Case:
    def forget() -> None:
        for tensor in inputs:
            tensor.grad = None

    return Case(name, lambda: loss().backward(), forget)


def measure(size: Size, rounds: int, watch: Watch) -> list[Record]:
    """One record a case: median and least time, and peak extra memory."""
    samples = interleaved([case(name, size) for name in CASES], rounds, between=watch.probe)
    watch.probe()
    watch.rest()
    _tensors.cache_clear()
    give_memory_back()
    records = []
    for name in CASES:
        large = size.logits_bytes >= LEAST_BYTES_FOR_MEMORY and name != FLOOR
        extra = peak_extra_bytes(case, name, size) if large else None
        times = {"median_seconds": median(samples[name]), "least_seconds": min(samples[name])}
        records.append({**asdict(size), "case": name, **times, "extra_bytes": extra})
    return records


def main() -> None:
    """Run, print the tables, and write them with records and picture where asked to."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--short", action="store_true", help="smaller sizes and 7 rounds, under 2.5 minutes")
    parser.add_argument("--rounds", type=int, help="samples of each case (default 11; with --short 7)")
    parser.add_argument("--out", type=Path, metavar="NAME", help="also write NAME.md, NAME.json and NAME.png")
    arguments = parser.parse_args()
    keep_memory_warm()
    sizes, rounds = (SHORT, arguments.rounds or 7) if arguments.short else (SIZES, arguments.rounds or 11)
    watch, machine = Watch(), describe()
    records: list[Record] = []
    tables = []
    for size in sizes:
        records += measure(size, rounds, watch)
        tables.append(table(size.title, size.logits_bytes, records[-len(CASES) :]))
        print(tables[-1], end="\n\n", flush=True)
    notice = watch.notice() or "Nothing else ran on the machine."
    print(f"{headline(records)}\n{machine}\n{notice}")
    if arguments.out:
        command = COMMAND + (" --short" if arguments.short else "") + f" --rounds {rounds}"
        record = {"command": command, "machine": machine, "notice": notice, "records": records}
        write_json(arguments.out.with_suffix(".json"), record)
        picture(arguments.out.with_suffix(".png"), records)
        about = (__doc__ or "").strip()
        text = page(about, command, machine, notice, arguments.out.stem, records, tables)
        write(arguments.out.with_suffix(".md"), text)


if __name__ == "__main__":
    main()
