"""Many processes at once: starts that share a cache, workers of a study that are killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from reliability.runs import SMALL
from reliability.sessions import finish, start


def started(lines, count, at_once, folder, cache):
    """Start command lines in turn so many times, some at once, all with one cache.

    Returns:
        The exit codes, and what each command line printed.
    """
    logs = [folder / f"start-{number}.log" for number in range(count)]
    codes, running = [], []
    for number, log in enumerate(logs):
        if len(running) == at_once:
            codes += finish(running.pop(0))
        running.append(start(lines[number % len(lines)], log, REGDROP_CACHE=str(cache)))
    for group in running:
        codes += finish(group)
    printed = [log.read_text() for log in logs]
    return codes, [printed[place :: len(lines)] for place in range(len(lines))]


def commands(run):
    """What is started: what reads weights, data and the compiled kernel."""
    return [
        ["diagnose", run, "--batches", "1", "--passes", "2", "--json"],
        ["eval", run, "--split", "validation", "--json"],
    ]


def answers(printed):
    """The different answers among what one command line printed; warnings may stand before them."""
    return {json.dumps(json.loads(text[text.index("{") :]), sort_keys=True) for text in printed}


def killed_study(out, chance, seeds, workers, kills):
    """A study of twice so many runs, whose workers are killed at random moments.

    Returns:
        Its exit code, how many workers were killed, and the runs that were made again though they were finished.
    """
    line = ["compare", "digits_vit", "--seeds", seeds, "--workers", workers, "--out", out, *SMALL]
    with out.with_suffix(".log").open("w") as log:
        study = subprocess.Popen([sys.executable, "-m", "regdrop", *map(str, line)], stdout=log, stderr=log)
    killed, seen, again = 0, {}, set()
    while study.poll() is None:
        time.sleep(chance.uniform(0.2, 2.0))
        again |= {path for path, stamp in finished(out).items() if seen.setdefault(path, stamp) != stamp}
        if killed < kills and any(out.rglob("checkpoint-*")):
            killed += kill_one(study.pid, chance)
    return study.returncode, killed, again


def finished(out):
    """The finished runs of a study and when each was."""
    return {path: path.stat().st_mtime_ns for path in out.rglob("summary.json")}


def kill_one(parent, chance):
    """SIGKILL one child of a process at random; whether there was one."""
    try:
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        workers = [child for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
        os.kill(int(chance.choice(workers)), signal.SIGKILL)
    except (OSError, IndexError):
        return False
    time.sleep(0.2)
    return True


def whole_runs(out):
    """How many runs of a study are finished with each step recorded once."""
    return sum(_is_whole(path.parent) for path in finished(out))


def _is_whole(folder):
    steps = json.loads((folder / "summary.json").read_text())["steps"]
    records = [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]
    return [record["step"] for record in records if "loss" in record] == list(range(1, steps + 1))
