"""One small training run on real digits, how it is killed and continued, and what has to come out the same."""

import json

import torch
from safetensors.torch import load_file

from reliability.sessions import finish, kill, start, until
from tiny import SETTINGS

CHANGES = {"train.steps": 16, "train.eval_every": 2, "train.batch_size": 32, "data.augmentation": "shift"}


SMALL = [f"--{key}={value}" for key, value in SETTINGS.items()]


def words(out, **changes):
    """The command line that begins or continues the run; changes are `section__key=value`."""
    settings = SETTINGS | CHANGES | {key.replace("__", "."): value for key, value in changes.items()}
    values = [f"--{key}={value}" for key, value in settings.items()]
    return ["train", "digits_vit", "--out", out, *values, *(["--resume"] if out.exists() else [])]


def log_of(out):
    return out.with_suffix(".log")


def train(out, processes=1, **changes):
    """Train to the end; what it comes to."""
    codes = finish(start(words(out, **changes), log_of(out), processes))
    assert codes == [0] * processes, log_of(out).read_text()[-3000:]
    return outcome(out)


def outcome(out):
    """All that must not depend on interruptions: the records but for their seconds, the weights and the scores."""
    records = [json.loads(line) for line in (out / "records.jsonl").read_text().splitlines()]
    summary = json.loads((out / "summary.json").read_text())
    kept = ("best_step", "validation", "test", "steps")
    losses = [{key: value for key, value in record.items() if key != "seconds"} for record in records]
    return losses, load_file(out / "best" / "model.safetensors"), {key: summary[key] for key in kept}


def same(one, other):
    """Whether two outcomes agree to the last bit."""
    (losses, weights, scores), (losses2, weights2, scores2) = one, other
    agree = weights.keys() == weights2.keys() and all(torch.equal(weights[key], weights2[key]) for key in weights)
    return losses == losses2 and scores == scores2 and agree


def seconds_of(out):
    """Seconds that a run spent training."""
    return json.loads((out / "summary.json").read_text())["seconds"]


def train_killed(out, delays, processes=1):
    """Train, killed by SIGKILL so many seconds after it has taken its folder, again and again, then left to end.

    Returns:
        How many kills hit a living process, and how many of these left a checkpoint half written.
    """
    kills = torn = 0
    for delay in delays:
        group = start(words(out), log_of(out), processes)
        until(lambda: group[0].exitcode is not None or held_by(out, group[0].pid), group)  # noqa: B023 - used at once
        group[0].join(delay)
        if group[0].exitcode is not None:
            assert finish(group) == [0] * processes, log_of(out).read_text()[-3000:]
            break
        kill(group)
        kills += 1
        torn += any(not (path / "manifest.json").exists() for path in out.glob("checkpoint-*"))
    train(out, processes)
    return kills, torn


def held_by(out, pid):
    """Whether a process holds the folder of a run."""
    owner = out / "run.owner"
    return owner.exists() and f"process {pid} " in owner.read_text()
