"""Real processes by torchrun."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent.parent


def torchrun(module, *arguments, expect=0):
    """Run a module of the tests in two processes joined by gloo, on a port that is free."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = os.environ | {"PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1", "TORCH_CPP_LOG_LEVEL": "ERROR"}
    done = subprocess.run(
        [*command, "-m", module, *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == expect, done.stderr[-4000:]
