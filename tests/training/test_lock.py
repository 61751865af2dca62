import subprocess
import sys

import pytest

from regdrop.errors import BusyError
from regdrop.training.lock import FolderLock, is_first_process

HOLD = """\
import sys
from pathlib import Path
from regdrop.training.lock import FolderLock
lock = FolderLock(Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_a_folder_is_held_by_one_and_named_by_process_and_machine(tmp_path):
    lock, other = FolderLock(tmp_path), FolderLock(tmp_path)
    lock.acquire()
    lock.acquire()  # its own is no hindrance
    with pytest.raises(BusyError, match=r"is held by process \d+ on \S+; wait for it, or pass another --out"):
        other.acquire()
    other.release()  # what is not held stays with its holder
    assert (tmp_path / "run.owner").exists()
    lock.release()
    assert not (tmp_path / "run.owner").exists()
    other.acquire()
    other.release()


def test_the_lock_ends_with_its_process_however_that_ends(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(BusyError, match=f"process {holder.pid} "):
            FolderLock(tmp_path).acquire()
    finally:
        holder.kill()
        holder.communicate()
    lock = FolderLock(tmp_path)
    lock.acquire()
    lock.release()


def test_a_holder_that_left_no_name_is_another_process(tmp_path):
    lock = FolderLock(tmp_path)
    lock.acquire()
    (tmp_path / "run.owner").unlink()
    with pytest.raises(BusyError, match="held by another process"):
        FolderLock(tmp_path).acquire()
    lock.release()


def test_the_first_of_several_processes_has_rank_0(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    assert is_first_process()
    monkeypatch.setenv("RANK", "0")
    assert is_first_process()
    monkeypatch.setenv("RANK", "1")
    assert not is_first_process()
