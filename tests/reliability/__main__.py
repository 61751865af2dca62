"""Do all of it at length and write the figures into docs/reliability.md: `PYTHONPATH=tests python -m reliability`."""

import argparse
import datetime
import os
import platform
import tempfile
from pathlib import Path

import torch
import transformers

from reliability.figures import SEED, fuzz_rows, kill_row, start_row, study_row

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- figures -->\n", "<!-- end of the figures -->\n"


def main():
    """Parse the amounts, make the rows, write the page."""
    parser = argparse.ArgumentParser(prog="python -m reliability")
    parser.add_argument("--kills", type=int, default=30, help="for one process and for two")
    parser.add_argument("--fuzz", type=int, default=20, help="seconds a kind of file")
    parser.add_argument("--starts", type=int, default=200)
    parser.add_argument("--runs", type=int, default=100, help="of the study")
    amounts = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [kill_row(folder, amounts.kills, processes) for processes in (1, 2)]
        rows += fuzz_rows(folder, amounts.fuzz)
        rows += [start_row(folder, amounts.starts, 8), study_row(folder, amounts.runs, 4, 12)]
    write(rows, amounts)


def write(rows, amounts):
    """Put the rows between the page's marks."""
    options = " ".join(f"--{key} {value}" for key, value in vars(amounts).items())
    about = (
        f"`PYTHONPATH=tests python -m reliability {options}` on {datetime.datetime.now(datetime.UTC).date()}, "
        f"seed {SEED}: Python {platform.python_version()}, torch {torch.__version__}, "
        f"transformers {transformers.__version__}, {platform.machine()}, {os.cpu_count()} CPU cores, no GPU.\n\n"
    )
    table = "| what | how often | what came out |\n|---|---|---|\n"
    table += "".join(f"| {' | '.join(row)} |\n" for row in rows)
    before, rest = PAGE.read_text().split(BEGIN)
    PAGE.write_text(before + BEGIN + "\n" + about + table + "\n" + END + rest.split(END)[1])


if __name__ == "__main__":
    main()
