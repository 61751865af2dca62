"""The built wheel holds what the code opens beside itself, which no import would miss."""

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

pytest.importorskip("hatchling")
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    with ZipFile(next(folder.glob("*.whl"))) as wheel:
        return set(wheel.namelist())


@pytest.mark.parametrize("name", ["native.cpp", "block.h", "few.h", "many.h", "rows.h", "sums.h", "vectors.h"])
def test_the_source_of_the_native_kernel_is_packed(packed, name):
    assert f"regdrop/losses/kernels/cpp/{name}" in packed


def test_every_file_of_the_package_is_packed(packed):
    source = ROOT / "src"
    files = (path for path in source.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    assert {path.relative_to(source).as_posix() for path in files} <= packed
