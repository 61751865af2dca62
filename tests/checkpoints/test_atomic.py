"""A file written atomically is there as a whole or not at all, whenever the writer dies."""

import signal
import subprocess
import sys
import time

import pytest

from regdrop.checkpoints.atomic import atomic_path

WRITER = """
import sys
from itertools import count
from pathlib import Path
from regdrop.checkpoints.atomic import atomic_path
for i in count():
    with atomic_path(Path(sys.argv[1])) as beside:
        beside.write_bytes(bytes([i % 256]) * 300_000)
"""


def test_a_new_file_replaces_the_old_one(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with atomic_path(path) as beside:
        assert beside.parent == tmp_path
        assert beside.suffix == ".txt"
        beside.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def write_half(path, error):
    with atomic_path(path) as beside:
        beside.write_text("half")
        raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failed_block_leaves_the_old_file_alone(tmp_path, error):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(error):
        write_half(path, error)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "file.txt"):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("wait", [0.01, 0.03, 0.07, 0.15])
def test_a_killed_writer_leaves_a_whole_file(tmp_path, wait):
    path = tmp_path / "file.bin"
    process = subprocess.Popen([sys.executable, "-c", WRITER, path])
    while not path.exists():
        time.sleep(0.005)
    time.sleep(wait)
    process.send_signal(signal.SIGKILL)
    process.wait()
    content = path.read_bytes()
    assert len(content) == 300_000
    assert len(set(content)) == 1
