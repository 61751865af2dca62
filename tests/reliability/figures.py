"""The long form of what the tests of this folder do, in pieces: what was done, how often, what came out."""

import random
import signal
import time

from reliability.fuzzing import hunt
from reliability.hostile import KINDS, fuzz
from reliability.load import answers, commands, killed_study, started, whole_runs
from reliability.runs import log_of, outcome, same, seconds_of, train, train_killed, words
from reliability.sessions import finish, start

SEED = 8
KILLS = 30
# its folder made; weights and optimizer written; all written, the manifest not yet
SAVING = [("os.mkdir", ""), ("open", "/trainer_state.json"), ("os.rename", "/manifest.json")]
SECONDS_OF_DAMAGE = 10  # a kind of file
SECONDS_OF_HUNT = 15
STARTS, STARTS_AT_ONCE = 200, 40
RUNS, WORKERS, WORKERS_KILLED = 100, 4, 12


def kill_rows(folder, processes):
    """SIGKILL so many times over as many runs as that takes, each compared with the uninterrupted one."""
    expected = train(folder / "whole", processes)
    seconds, chance = seconds_of(folder / "whole"), random.Random(SEED + processes)
    done = torn = runs = equal = 0
    while done < KILLS:
        out = folder / f"run-{runs}"
        delays = [chance.uniform(0.02, 0.8) * seconds for _ in range(min(5, KILLS - done))]
        made, halves = train_killed(out, delays, processes)
        done, torn, runs, equal = done + made, torn + halves, runs + 1, equal + same(outcome(out), expected)
        seconds = seconds_of(out)  # what else the machine does changes
    what = f"SIGKILL at random moments, {processes} process{'es' * (processes > 1)}"
    result = f"{equal} of {runs} runs end bit for bit as the uninterrupted one"
    return [(what, f"{done} kills, {torn} of them while a checkpoint was being written", result)]


def saving_rows(folder):
    """SIGKILL once at each moment of each save of a run, again and again."""
    expected, out = train(folder / "whole"), folder / "run"
    moments = [(what, f"checkpoint-{step}{name}") for step in range(2, 17, 2) for what, name in SAVING]
    for what, name in moments:
        (process,) = start(words(out), log_of(out), moment=(what, name, signal.SIGKILL))
        assert finish([process]) == [-signal.SIGKILL], log_of(out).read_text()[-3000:]
    end = "ends bit for bit as the uninterrupted one" if same(train(out), expected) else "ends differently"
    return [("SIGKILL while a checkpoint is saved", f"{len(moments)} kills, 3 a checkpoint", f"the run {end}")]


def damage_rows(folder):
    """Files of each kind, damaged at random."""
    rows = []
    for number, name in enumerate(KINDS):
        read, refused = fuzz(name, random.Random(SEED + number), SECONDS_OF_DAMAGE, folder)
        result = f"{refused:,} refused, {read:,} read, 0 other errors"
        rows.append((f"`{name}`, damaged at random", f"{read + refused:,} files in {SECONDS_OF_DAMAGE} s", result))
    return rows


def hunt_rows(folder):
    """Files of each kind, damaged as coverage guides."""
    rows = []
    for name in KINDS:
        (folder / name).mkdir()
        hunted = hunt(name, folder / name, seconds=SECONDS_OF_HUNT)
        assert hunted.code == 0, hunted.log[-3000:]
        first, last = hunted.coverage
        result = f"0 other errors; branches reached: {first} by whole files, {last} in the end"
        rows.append((f"`{name}`, guided by coverage", f"{hunted.files:,} files in {SECONDS_OF_HUNT} s", result))
    return rows


def start_rows(folder):
    """Starts of two commands with a cache that is empty at first."""
    train(folder / "run")
    codes, printed = started(commands(folder / "run"), STARTS, STARTS_AT_ONCE, folder, folder / "cache")
    differing = " and ".join(str(len(answers(texts))) for texts in printed)
    what = "`diagnose` and `eval` started in turn with an empty shared cache"
    result = f"{codes.count(0)} succeed; different answers: {differing}"
    return [(what, f"{STARTS} starts, {STARTS_AT_ONCE} at a time", result)]


def study_rows(folder):
    """A study whose workers are killed."""
    begun, out = time.monotonic(), folder / "study"
    code, killed, again = killed_study(out, random.Random(SEED), RUNS // 2, WORKERS, WORKERS_KILLED)
    assert code == 0, out.with_suffix(".log").read_text()[-3000:]
    what = f"{RUNS} runs over {WORKERS} workers, {killed} workers killed by SIGKILL"
    result = f"{whole_runs(out)} runs finished, each step recorded once; {len(again)} finished runs made again"
    return [("a study of tiny runs", f"{what}, {time.monotonic() - begun:.0f} s", result)]


PIECES = {
    "kills": lambda folder: kill_rows(folder, 1),
    "kills-of-two": lambda folder: kill_rows(folder, 2),
    "saving": saving_rows,
    "damage": damage_rows,
    "guided": hunt_rows,
    "starts": start_rows,
    "study": study_rows,
}
