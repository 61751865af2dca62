import json
from types import SimpleNamespace

import pytest

from regdrop.training.records import RecordWriter, keep_records

STATE = SimpleNamespace(global_step=4, is_world_process_zero=True)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_step_and_an_evaluation_become_one_line_each_at_once(tmp_path):
    path = tmp_path / "records.jsonl"
    writer = RecordWriter(path, 0)
    writer.on_log(None, STATE, None, {"loss": 2.5, "task_loss": 2.0, "kl": 0.5, "learning_rate": 0.1, "grad_norm": 3.0})
    assert len(lines(path)) == 1
    writer.on_log(None, STATE, None, {"loss": 2.5, "task_loss": 2.5, "learning_rate": 0.1})
    writer.on_log(None, STATE, None, {"eval_loss": 1.0, "eval_accuracy": 0.5, "eval_runtime": 9.0, "epoch": 1.0})
    writer.on_log(None, STATE, None, {"train_runtime": 9.0, "train_loss": 1.0})
    step, plain, evaluation = lines(path)
    seconds = [record.pop("seconds") for record in (step, plain, evaluation)]
    assert step == {"step": 4, "loss": 2.5, "task_loss": 2.0, "kl": 0.5, "lr": 0.1, "grad_norm": 3.0}
    assert plain["kl"] is None
    assert evaluation == {"step": 4, "eval_loss": 1.0, "eval_accuracy": 0.5}
    assert 0 <= seconds[0] <= seconds[1] <= seconds[2]


def test_only_the_first_process_writes(tmp_path):
    writer = RecordWriter(tmp_path / "records.jsonl", 0)
    other = SimpleNamespace(global_step=4, is_world_process_zero=False)
    writer.on_log(None, other, None, {"loss": 2.5, "task_loss": 2.0, "learning_rate": 0.1})
    assert lines(tmp_path / "records.jsonl") == []


@pytest.mark.parametrize("rest", ["", '{"step": 4, "sec', "\0\0\0\n"], ids=["whole", "cut", "zeros"])
def test_records_after_a_step_and_half_lines_are_dropped(tmp_path, rest):
    path = tmp_path / "records.jsonl"
    path.write_text("".join(f'{{"step": {step}, "seconds": {step * 10.0}}}\n' for step in (1, 2, 2, 3)) + rest)
    assert keep_records(path, 2) == 20.0
    assert [record["step"] for record in lines(path)] == [1, 2, 2]


def test_seconds_go_on_from_the_last_record_kept(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_text('{"step": 1, "seconds": 100.0}\n{"step": 2, "seconds": 200.0}\n')
    writer = RecordWriter(path, 1)
    writer.on_train_begin(None, STATE, None)
    assert 100.0 <= writer.seconds < 150.0
