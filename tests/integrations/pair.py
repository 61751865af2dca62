"""Run a module of the tests in two real processes."""

import os
import subprocess
import sys
from pathlib import Path

import torch

TESTS = Path(__file__).parent.parent


def saved_by_two(module, file):
    """What rank 0 of two processes, joined by gloo on a port that is free, saves to a file."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", module]
    environment = os.environ | {"PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*launch, str(file)], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return torch.load(file, weights_only=True)
