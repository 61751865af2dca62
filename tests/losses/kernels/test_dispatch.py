"""Which kernel runs, and what is said where it is not the one hoped for."""

import inspect
import os
import subprocess
import sys

import pytest
import torch

from regdrop.errors import InputError, UnsupportedError
from regdrop.losses.kernels.compiled import compiled
from regdrop.losses.kernels.dispatch import choose
from regdrop.losses.kernels.eager import eager
from regdrop.losses.kernels.native import native

LOGITS = torch.zeros(2, 3, 4)


@pytest.mark.parametrize(
    ("backend", "kernel"), [("auto", native), ("native", native), ("eager", eager), ("compile", compiled)]
)
def test_backends_on_the_cpu(backend, kernel):
    # The type checks of these tests may stand around either.
    assert inspect.unwrap(choose(backend, LOGITS)) is inspect.unwrap(kernel)


def test_auto_elsewhere_is_eager():
    assert choose("auto", LOGITS.to("meta")) is eager


def test_native_elsewhere_is_refused():
    with pytest.raises(UnsupportedError, match="the logits are on meta; use 'auto'"):
        choose("native", LOGITS.to("meta"))


def test_an_unknown_backend_is_named():
    with pytest.raises(InputError, match="unknown backend 'nativ': did you mean 'native'"):
        inspect.unwrap(choose)("nativ", LOGITS)


WITHOUT_COMPILER = """
import logging
logging.basicConfig(level=logging.INFO)
import torch
from regdrop import r_drop_loss
for _ in range(3):
    out = r_drop_loss(torch.zeros(2, 3, 4), torch.tensor([0, 1, 2]), alpha=1.0)
print(round(float(out.loss), 4))
try:
    r_drop_loss(torch.zeros(2, 3, 4), torch.tensor([0, 1, 2]), alpha=1.0, backend="native")
except RuntimeError as error:
    print(type(error).__name__, error)
"""


def test_without_a_compiler_auto_says_so_once_and_computes(tmp_path):
    environment = {**os.environ, "PATH": str(tmp_path), "REGDROP_CACHE": str(tmp_path)}
    environment.pop("CXX", None)
    done = subprocess.run([sys.executable, "-c", WITHOUT_COMPILER], env=environment, capture_output=True, text=True)
    value, refusal = done.stdout.splitlines()
    assert value == "2.7726"
    assert refusal.startswith("UnsupportedError backend='native': no C++ compiler found")
    assert refusal.endswith("or use backend='auto'")
    lines = [line for line in done.stderr.splitlines() if "eager backend" in line]
    assert len(lines) == 1
    assert "no C++ compiler found" in lines[0]


def test_importing_builds_nothing(tmp_path):
    environment = {**os.environ, "REGDROP_CACHE": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", "import regdrop"], env=environment, check=True)
    assert not (tmp_path / "cache").exists()
