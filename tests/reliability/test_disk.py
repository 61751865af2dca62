"""Disks that fill, lock or lose files under a run: a clear line, the last good checkpoint intact, the same result."""

import os
import shutil
import signal
import subprocess

import pytest

from regdrop.training.folder import RunFolder
from reliability.runs import held_by, log_of, outcome, same, train, words
from reliability.sessions import finish, go_on, halted, kill, start

SIZE = 4 << 20  # bytes of the small disk


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return train(tmp_path_factory.mktemp("whole") / "run")


@pytest.fixture
def disk(tmp_path):
    """A small file system of its own; only root may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", place]
    mounted = subprocess.run(command, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def under_way(out, log):
    """A run that stands still before it makes its third checkpoint."""
    return halted(words(out), log, "checkpoint-6")


def last_line(log):
    text = log.read_text()
    assert "Traceback" not in text, text
    return text.strip().splitlines()[-1]


def fill(disk):
    """A file that takes all the room there is."""
    with (disk / "filler").open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(bytes(4096))
        except OSError:
            return


def test_a_full_disk_is_told_and_the_run_continues_once_there_is_room(disk, tmp_path, whole):
    out, log = disk / "run", tmp_path / "run.log"
    group = under_way(out, log)
    fill(disk)
    assert go_on(group) in ([1], [4])
    assert "No space left on device" in last_line(log) or "cannot save step" in last_line(log)
    assert RunFolder(out).last_checkpoint() == 4
    (disk / "filler").unlink()
    assert finish(start(words(out), log)) == [0], log.read_text()
    assert same(outcome(out), whole)


def test_a_disk_that_becomes_read_only_is_told(disk, tmp_path, whole):
    out, log = disk / "run", tmp_path / "run.log"
    kill(under_way(out, log))
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    assert finish(start(words(out), log)) == [1]
    assert "Read-only file system" in last_line(log)
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    assert finish(start(words(out), log)) == [0], log.read_text()
    assert same(outcome(out), whole)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_one_may_not_write_to_is_told(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    assert finish(start(words(closed / "run"), tmp_path / "run.log")) == [1]
    assert "Permission denied" in last_line(tmp_path / "run.log")


def test_a_folder_deleted_under_the_run_is_told(tmp_path, whole):
    out, log = tmp_path / "run", tmp_path / "run.log"
    group = under_way(out, log)
    shutil.rmtree(out)
    assert go_on(group) in ([1], [4])
    told = [line for line in log.read_text().splitlines() if line.startswith("regdrop: ")]
    assert "No such file" in told[-1] or "does not exist" in told[-1]  # TensorBoard adds a traceback of its own
    shutil.rmtree(out, ignore_errors=True)
    assert same(train(out), whole)


def test_checkpoints_deleted_under_the_run_are_made_again(tmp_path, whole):
    out, log = tmp_path / "run", tmp_path / "run.log"
    kill(under_way(out, log))
    for checkpoint in out.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)
    assert same(train(out), whole)


def test_two_runs_in_one_folder_are_one_too_many(tmp_path, whole):
    out, second = tmp_path / "run", tmp_path / "second.log"
    group = under_way(out, log_of(out))
    assert held_by(out, group[0].pid)
    assert finish(start(words(out), second)) == [6]
    assert f"is held by process {group[0].pid} on {os.uname().nodename}" in last_line(second)
    assert go_on(group) == [0]
    assert same(outcome(out), whole)


FILES = ["model.safetensors", "optimizer.pt", "rng_state.pth", "trainer_state.json", "manifest.json"]


@pytest.mark.parametrize("file", FILES)
def test_of_a_damaged_newest_checkpoint_the_one_before_is_used(tmp_path, whole, file):
    out = tmp_path / "run"
    kill(under_way(out, log_of(out)))
    damaged = out / "checkpoint-4" / file
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 0x20
    damaged.write_bytes(content)
    assert same(train(out), whole)
    wrong = [line for line in log_of(out).read_text().splitlines() if "is damaged (" in line]
    assert len(wrong) == 1
    assert "checkpoint-4 is damaged" in wrong[0]
    assert wrong[0].endswith("the one before it is used")


def test_a_damaged_best_checkpoint_is_refused_and_made_again_once_removed(tmp_path, whole):
    out, log = tmp_path / "run", tmp_path / "run.log"
    (process,) = start(words(out), log, moment=("os.rename", "summary.json", signal.SIGKILL))
    assert finish([process]) == [-signal.SIGKILL]
    _, _, scores = whole
    best = RunFolder(out).checkpoint(scores["best_step"])
    (best / "model.safetensors").write_bytes(b"damaged")
    assert finish(start(words(out), log)) == [4]
    assert f"{best} is damaged" in last_line(log)
    assert last_line(log).endswith("remove it and those after it, then pass --resume")
    for step in range(scores["best_step"], 17, 2):
        shutil.rmtree(RunFolder(out).checkpoint(step))
    assert same(train(out), whole)
