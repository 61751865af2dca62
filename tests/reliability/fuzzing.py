"""`reliability.guided` in a process of its own, and what it printed."""

import importlib.util
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HAS_ATHERIS = importlib.util.find_spec("atheris") is not None
TESTS = Path(__file__).parents[1]
FOUND = 77  # exit code where an error came out


@dataclass(frozen=True)
class Hunt:
    """How a hunt for errors ended: its exit code, files read, coverage of the whole files and at last, the log."""

    code: int
    files: int
    coverage: tuple[int, int]
    log: str


def hunt(name, folder, **options):
    """Damage and read files of a kind, guided by coverage; the options are those of `reliability.guided`."""
    words = [f"--{key}={value}" for key, value in options.items()]
    line = [sys.executable, "-m", "reliability.guided", name, folder, *words]
    environment = os.environ | {"PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    log = done.stdout.decode(errors="replace")
    coverage = [int(number) for number in re.findall(r"\bcov: (\d+)", log)]
    files = re.search(r"number_of_executed_units: (\d+)", log)
    assert files, log[-3000:]
    return Hunt(done.returncode, int(files[1]), (coverage[0], coverage[-1]), log)
