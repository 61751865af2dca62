"""Output layer and loss together, value and backward, against their peers: `python -m benchmarks.linear --help`.

Every case computes d loss / d hidden and d loss / d weight. The floor is the three matrix products that any of them
needs, whole and into memory that is there already. Beside it stand the same products in the chunks of
`linear_r_drop_loss`: what the saving of memory costs, as each of them reads the weight, and reads and writes its
gradient, again. All cases of one size run interleaved in one process; peak extra memory is measured in a fresh
process each, and the gradients handed out are not counted as extra.
"""

import argparse
from dataclasses import asdict
from pathlib import Path
from statistics import median

from benchmarks.linear_cases import FLOOR, LOSSES, OWN, SHORT, SIZES, Size, case, tensors
from benchmarks.records import markdown, write, write_json
from regdrop.studies.cost.machine import Watch, describe
from regdrop.studies.cost.memory import peak_extra_bytes
from regdrop.studies.cost.timing import interleaved, keep_memory_warm
from regdrop.training.peak import give_memory_back

COMMAND = "python -m benchmarks.linear"


def measure(size: Size, rounds: int, watch: Watch) -> list[dict[str, object]]:
    """One record a case: median and quickest time, and peak extra memory beyond the gradients handed out."""
    names = [*LOSSES, OWN, FLOOR]
    samples = interleaved([case(name, size) for name in names], rounds, between=watch.probe)
    watch.probe()
    watch.rest()
    tensors.cache_clear()
    give_memory_back()  # the fresh processes need it
    records: list[dict[str, object]] = []
    for name in names:
        peak = None if name in (OWN, FLOOR) else peak_extra_bytes(case, name, size)
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
            "-" if extra is None else f"{int(str(extra)) / 2**20:,.0f} MB = {int(str(extra)) / size.logits_bytes:.1%}"
        )
        floors = [f"{own / seconds[floor]:.2f}" for floor in (FLOOR, OWN)]
        ratios = [*floors, f"{by_official / own:.2f}x", f"{by_careful / own:.2f}x"]
        rows.append([str(record["case"]), f"{own * 1e3:,.0f}", *ratios, share])
    header = [
        "case",
        "ms",
        "over three matmuls",
        "over those in chunks",
        "against official",
        "against careful",
        "extra memory, of logits",
    ]
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
        tables.append(table(size, records[-len(LOSSES) - 2 :]))
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
