"""Records are read exactly, and damaged ones are refused by file and line."""

import json

import pytest

from regdrop.errors import DataError
from regdrop.reports.records import LONGEST_LINE, EvaluationRecord, StepRecord, read_records

STEP = {"step": 1, "seconds": 0.5, "loss": 5.0, "task_loss": 4.6, "kl": 0.4, "lr": 1e-3}
EVALUATION = {"step": 1, "seconds": 0.75, "eval_accuracy": 0.25, "eval_loss": 2.25}


def write(folder, *lines):
    (folder / "records.jsonl").write_bytes(b"".join(lines))
    return folder


def line(record):
    return json.dumps(record).encode() + b"\n"


def test_records_come_back_typed_and_in_order(tmp_path):
    plain = {key: value for key, value in STEP.items() if key != "kl"} | {"step": 2}
    found = read_records(write(tmp_path, line(STEP), line(EVALUATION), line(plain)))
    assert found.steps == (StepRecord(1, 0.5, 5.0, 4.6, 0.4, 1e-3), StepRecord(2, 0.5, 5.0, 4.6, None, 1e-3))
    assert found.evaluations == (EvaluationRecord(1, 0.75, {"accuracy": 0.25, "loss": 2.25}),)


@pytest.mark.parametrize(
    "damaged",
    [
        line(STEP)[:-1],
        line(STEP)[:20] + b"\n",
        b"\n",
        b"[1, 2]\n",
        b"\xff\xfe\n",
        b"[" * 5000 + b"\n",
        b'{"a": "' + b"x" * LONGEST_LINE + b'"}\n',
        line({key: value for key, value in STEP.items() if key != "lr"}),
        line(STEP | {"loss": "5.0"}),
        line(STEP | {"loss": True}),
        line(STEP | {"loss": [1.0]}),
        line(STEP | {"step": 1.5}),
        line(STEP | {"step": -1}),
        b'{"step": 1, "seconds": ' + b"9" * 4000 + b', "loss": 1, "task_loss": 1, "lr": 1}\n',
        line(EVALUATION | {"eval_loss": None}),
    ],
)
def test_a_damaged_line_is_named(tmp_path, damaged):
    folder = write(tmp_path, line(STEP), damaged)
    with pytest.raises(DataError) as caught:
        read_records(folder)
    assert str(caught.value).startswith(f"{folder / 'records.jsonl'}, line 2: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300 + len(str(folder))


@pytest.mark.parametrize("value", ["NaN", "Infinity"])
def test_a_loss_that_is_not_finite_is_a_record_too(tmp_path, value):
    text = json.dumps(STEP).replace("5.0", value) + "\n"
    assert str(read_records(write(tmp_path, text.encode())).steps[0].loss) == str(float(value))


def test_a_folder_without_records_is_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_records(tmp_path / "nowhere")
