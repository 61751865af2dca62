"""The long form of what the tests of this folder do, each as one row: what was done, how often, what came out."""

import random
import time

from reliability.hostile import KINDS, fuzz
from reliability.load import killed_study, started, whole_runs
from reliability.runs import outcome, same, seconds_of, train, train_killed

SEED = 8


def kill_row(folder, kills, processes):
    """SIGKILL so many times over as many runs as that takes, each compared with the uninterrupted one."""
    expected = train(folder / f"whole{processes}", processes)
    seconds, chance = seconds_of(folder / f"whole{processes}"), random.Random(SEED + processes)
    done = torn = runs = equal = 0
    while done < kills:
        out = folder / f"run{processes}-{runs}"
        count = min(5, kills - done)
        made, halves = train_killed(out, [chance.uniform(0.02, 0.8) * seconds for _ in range(count)], processes)
        done, torn, runs, equal = done + made, torn + halves, runs + 1, equal + same(outcome(out), expected)
    what = f"SIGKILL at random moments, {processes} process{'es' * (processes > 1)}"
    result = f"{equal} of {runs} runs end bit for bit as the uninterrupted one"
    return what, f"{done} kills, {torn} of them while a checkpoint was being written", result


def fuzz_rows(folder, seconds):
    """Damaged files of each kind, read for so long each."""
    rows = []
    for number, name in enumerate(KINDS):
        read, refused = fuzz(name, random.Random(SEED + number), seconds, folder)
        result = f"{refused} refused, {read} read (the damage made another whole file), 0 other errors"
        rows.append((f"damaged `{name}`", f"{read + refused} files in {seconds} s", result))
    return rows


def start_row(folder, count, at_once):
    """Starts of one command with a cache that is empty at first."""
    run = folder / "started"
    train(run)
    words = ["diagnose", run, "--batches", "1", "--passes", "2", "--json"]
    codes, printed = started(words, count, at_once, folder, folder / "cache")
    result = f"{codes.count(0)} succeed, {len(set(printed))} different answer{'s' * (len(set(printed)) > 1)}"
    return "`diagnose` started with an empty shared cache", f"{count} starts, {at_once} at a time", result


def study_row(folder, runs, workers, kills):
    """A study whose workers are killed."""
    begun = time.monotonic()
    out = folder / "study"
    code, killed, again = killed_study(out, random.Random(SEED), runs // 2, workers, kills)
    assert code == 0, out.with_suffix(".log").read_text()[-3000:]
    result = f"{whole_runs(out)} runs finished, each step recorded once; {len(again)} finished runs made again"
    what = f"{runs} runs over {workers} workers, {killed} workers killed by SIGKILL"
    return "a study", f"{what}, {time.monotonic() - begun:.0f} s", result
