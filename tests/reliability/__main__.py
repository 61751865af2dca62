"""Do it at length and write the figures into docs/reliability.md: `PYTHONPATH=tests python -m reliability`."""

import argparse
import datetime
import os
import platform
import re
import tempfile
from pathlib import Path

import torch
import transformers

from reliability.figures import PIECES, SEED

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- figures -->\n", "<!-- end of the figures -->\n"
HEAD = "| what | how often | what came out | date |\n|---|---|---|---|\n"


def main():
    """Make each piece that is asked for, and write its rows as it comes."""
    parser = argparse.ArgumentParser(prog="python -m reliability")
    parser.add_argument("pieces", nargs="*", metavar="PIECE", help=f"of {', '.join(PIECES)}; none: all of them")
    asked = parser.parse_args().pieces or [*PIECES]
    for piece in asked:
        with tempfile.TemporaryDirectory() as folder:
            write(PIECES[piece](Path(folder)))


def write(rows):
    """Put rows between the page's marks, in the place of those of the same name."""
    before, rest = PAGE.read_text().split(BEGIN)
    old, after = rest.split(END)
    today = datetime.datetime.now(datetime.UTC).date()
    table = {line.split("|")[1].strip(): f"{line}\n" for line in re.findall(r"^\| .*\|$", old, re.MULTILINE)[1:]}
    table |= {row[0]: f"| {' | '.join(row)} | {today} |\n" for row in rows}
    about = (
        f"`PYTHONPATH=tests python -m reliability`, seed {SEED}: Python {platform.python_version()}, torch "
        f"{torch.__version__}, transformers {transformers.__version__}, {platform.machine()}, {os.cpu_count()} CPU "
        "cores, no GPU. A file name stands for a kind of file (`tests/reliability/hostile.py`); damaged, it is "
        "refused, or read where the damage made another whole file."
    )
    PAGE.write_text(f"{before}{BEGIN}\n{about}\n\n{HEAD}{''.join(table.values())}\n{END}{after}")


if __name__ == "__main__":
    main()
