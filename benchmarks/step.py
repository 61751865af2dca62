"""Time and peak memory of a training step in every way, relative to the plain step: `python -m benchmarks.step --help`.

A step is forward, loss, backward and AdamW in float32. Plain is one pass with the model's own loss, which for the GPT
is torch's cross-entropy; official is two passes and the formula of the paper's README. All ways of one model run
interleaved in one process, with memory that is there already. Peak memory is measured in a fresh process each: what a
step needs at once beyond weights and optimizer state, which is activations, gradients and temporaries.
"""

import argparse
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median

from benchmarks.bars import draw
from benchmarks.models import OFFICIAL, SUBJECTS, Subject, official_case
from benchmarks.records import markdown, write, write_json
from regdrop.studies.cost.costs import Cost
from regdrop.studies.cost.machine import Watch, describe
from regdrop.studies.cost.memory import peak_extra_bytes
from regdrop.studies.cost.step import step_case
from regdrop.studies.cost.timing import Case, interleaved, keep_memory_warm
from regdrop.studies.cost.ways import WAYS
from regdrop.training.peak import give_memory_back

COMMAND = "python -m benchmarks.step"
BY_NAME = {way.name: way for way in WAYS}
SHORT = {"vit": 8, "gpt-fused": 2}  # models of the short run, and the rows of their batches


def case(key: str, name: str, rows: int) -> Case:
    """A step of one model in one way, all of it made here."""
    subject = SUBJECTS[key]
    work = subject.workload(rows)
    return official_case(work) if name == OFFICIAL else step_case(BY_NAME[name], work, 1.0, **subject.options)


def measure(key: str, rows: int, rounds: int, watch: Watch) -> list[Cost]:
    """The cost of every way with one model, plain first."""
    names = SUBJECTS[key].ways
    samples = interleaved([case(key, name, rows) for name in names], rounds, sample_seconds=0.1, between=watch.probe)
    watch.probe()
    watch.rest()
    costs = []
    for name in names:
        exact = name != OFFICIAL and BY_NAME[name].exact
        peak = peak_extra_bytes(case, key, name, rows)
        costs.append(Cost(name, "", exact, median(samples[name]), peak))
    return costs


def table(subject: Subject, rows: int, costs: Sequence[Cost]) -> str:
    """The costs with one model as Markdown."""
    lines = []
    for cost in costs:
        time, memory = cost.time_over(costs[0]), cost.memory_over(costs[0])
        size = "-" if cost.extra_bytes is None else f"{cost.extra_bytes / 2**20:,.0f}"
        ratios = [f"{time:.2f}", size, "-" if memory is None else f"{memory:.2f}"]
        lines.append([cost.way, f"{1e3 * (cost.seconds or 0):,.0f}", *ratios])
    header = ["way", "ms a step", "time, of plain", "peak MB", "memory, of plain"]
    return f"### {subject.title}, {rows} rows\n\n{markdown(header, lines)}"


def page(command: str, machine: dict[str, str | int], notice: str, picture: str, tables: Sequence[str]) -> str:
    """The page of the documentation that quotes a run."""
    facts = ", ".join(f"{name} {value}" for name, value in machine.items())
    made = f"Made by `{command}` ({facts}). {notice}"
    ways = Path(__file__).with_name("ways.md").read_text()
    picture = f"![Time and peak memory of every way]({picture})"
    parts = ["# What a step costs", made, picture, __doc__ or "", ways, "## The figures", *tables]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def main() -> None:
    """Measure, print the tables, and write page, records and picture where asked to."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--short", action="store_true", help="two models with few rows, under a minute")
    parser.add_argument("--rounds", type=int, help="timings of each way (default 7; with --short 3)")
    parser.add_argument("--out", type=Path, metavar="NAME", help="also write NAME.md, NAME.json and NAME.png")
    arguments = parser.parse_args()
    chosen = SHORT if arguments.short else {key: subject.rows for key, subject in SUBJECTS.items()}
    rounds = arguments.rounds or (3 if arguments.short else 7)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # its hints are for those who train with it
    keep_memory_warm()
    watch, found, tables = Watch(), {}, []
    for key, rows in chosen.items():
        found[key] = measure(key, rows, rounds, watch)
        give_memory_back()
        tables.append(table(SUBJECTS[key], rows, found[key]))
        print(tables[-1] + "\n", flush=True)
    machine, notice = describe(), watch.notice() or "Nothing else ran on the machine."
    print(f"{machine}\n{notice}")
    if arguments.out:
        command = COMMAND + (" --short" if arguments.short else "") + f" --rounds {rounds}"
        records = {key: [asdict(cost) for cost in costs] for key, costs in found.items()}
        picture = arguments.out.with_suffix(".png")
        draw(picture, {SUBJECTS[key].title: costs for key, costs in found.items()})
        write_json(
            arguments.out.with_suffix(".json"),
            {"command": command, "machine": machine, "notice": notice, "rows": chosen, "records": records},
        )
        write(arguments.out.with_suffix(".md"), page(command, machine, notice, picture.name, tables))


if __name__ == "__main__":
    main()
