"""Writes the records of a run as training writes them, with values that tests can recompute."""

import json


def write_run(folder, *, seed, steps=40, every=10, passes=1, pace=0.1):
    """One run folder whose losses fall with the steps and differ by seed; returns the step and evaluation records."""
    folder.mkdir(parents=True)
    step_records = [_step(step, seed, passes, pace) for step in range(1, steps + 1)]
    evaluations = [_evaluation(step, seed, pace) for step in range(every, steps + 1, every)]
    records = sorted([*step_records, *evaluations], key=lambda record: record["step"])
    (folder / "records.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return step_records, evaluations


def _step(step, seed, passes, pace):
    task_loss = passes * (2.3 / step + 0.01 * seed)
    kl = 0.02 * step + 0.001 * seed if passes > 1 else None
    loss = task_loss + (kl or 0.0)
    return {"step": step, "seconds": step * pace, "loss": loss, "task_loss": task_loss, "kl": kl, "lr": 1e-3}


def _evaluation(step, seed, pace):
    return {"step": step, "seconds": step * pace + 0.01, "eval_loss": 1 / step + seed, "eval_accuracy": 1 - 1 / step}
