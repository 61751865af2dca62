"""Output layer and loss together, value and backward, against their peers: `python -m benchmarks.linear --help`.

Every case computes d loss / d hidden and d loss / d weight. The floor is the three matrix products that any of them
needs, whole and into memory that is there already. All cases of one size run interleaved in one process; peak extra
memory is measured in a fresh process each, and the gradients handed out are not counted as extra.
"""

import argparse
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from statistics import median

import torch
from torch import Tensor
from torch.nn.functional import linear

from benchmarks.official import careful, official
from benchmarks.records import markdown, write, write_json
from regdrop import linear_r_drop_loss, r_drop_loss
from regdrop.studies.cost.machine import Watch, describe
from regdrop.studies.cost.memory import peak_extra_bytes
from regdrop.studies.cost.timing import Case, interleaved, keep_memory_warm
from regdrop.training.peak import give_memory_back

COMMAND = "python -m benchmarks.linear"
FLOOR = "three matmuls"
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


def measure(size: Size, rounds: int, watch: Watch) -> list[dict[str, object]]:
    """One record a case: median and quickest time, and peak extra memory beyond the gradients handed out."""
    names = [*LOSSES, FLOOR]
    samples = interleaved([case(name, size) for name in names], rounds, between=watch.probe)
    watch.probe()
    watch.rest()
    tensors.cache_clear()
    give_memory_back()  # the fresh processes need it
    records: list[dict[str, object]] = []
    for name in names:
        peak = None if name == FLOOR else peak_extra_bytes(case, name, size)
        extra = None if peak is None else max(0, peak - size.gradient_bytes)
        times = {"median_seconds": median(samples[name]), "least_seconds": min(samples[name])}
        records.append({**asdict(size), "case": name, **times, "extra_bytes": extra})
    return records


def table(size: Size, records: list[dict[str, object]]) -> str:
    """The records of one size as Markdown, ratios of medians."""
    seconds = {record["case"]: float(str(record["median_seconds"])) for record in records}
    by_official, by_careful = (seconds[name] for name in list(LOSSES)[:2])
    rows = []
    for record in records:
        own, extra = seconds[record["case"]], record["extra_bytes"]
        share = (
            "-" if extra is None else f"{int(str(extra)) / 2**20:,.0f} MB = {int(str(extra)) / size.logits_bytes:.0%}"
        )
        ratios = [f"{own / seconds[FLOOR]:.2f}", f"{by_official / own:.2f}x", f"{by_careful / own:.2f}x"]
        rows.append([str(record["case"]), f"{own * 1e3:,.0f}", *ratios, share])
    header = ["case", "ms", "over the three matmuls", "against official", "against careful", "extra memory, of logits"]
    title = f"D = {size.features}, V = {size.classes:,}, N = {size.items:,} items a pass, {size.dtype}"
    return f"### {title}\n\n{markdown(header, rows)}"


def main() -> None:
    """Run, print the tables, and write them with the records where asked to."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--short", action="store_true", help="two small sizes, under two minutes")
    parser.add_argument("--rounds", type=int, help="samples of each case (default 7; with --short 3)")
    parser.add_argument("--out", type=Path, metavar="NAME", help="also write NAME.md and NAME.json")
    arguments = parser.parse_args()
    keep_memory_warm()
    watch, machine = Watch(), describe()
    sizes, rounds = (SHORT, arguments.rounds or 3) if arguments.short else (SIZES, arguments.rounds or 7)
    command = COMMAND + (" --short" if arguments.short else "") + f" --rounds {rounds}"
    records, tables = [], []
    for size in sizes:
        records += measure(size, rounds, watch)
        tables.append(table(size, records[-len(LOSSES) - 1 :]))
        print(tables[-1], flush=True)
        notice = watch.notice() or "Nothing else ran on the machine."
        if arguments.out:  # after every size: a run that is cut off leaves what it measured
            record = {"command": command, "machine": machine, "notice": notice, "records": records}
            write_json(arguments.out.with_suffix(".json"), record)
            write(arguments.out.with_suffix(".md"), page(command, machine, notice, tables))
    print(f"\n{machine}\n{notice}")


def page(command: str, machine: dict[str, str | int], notice: str, tables: list[str]) -> str:
    """The page of the documentation that quotes a run."""
    facts = ", ".join(f"{name} {value}" for name, value in machine.items())
    return (
        "\n\n".join(
            [
                "# Speed of the output layer and loss in one",
                f"Made by `{command}` ({facts}). {notice}",
                __doc__ or "",
                *tables,
            ]
        )
        + "\n"
    )


if __name__ == "__main__":
    main()
