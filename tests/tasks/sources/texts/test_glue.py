import json

import pytest

from regdrop.errors import DataError
from regdrop.tasks.sources.texts import glue
from regdrop.tasks.sources.texts.glue import read_glue


def write(folder, **parts):
    for name, labels in parts.items():
        rows = [json.dumps({"sentence": f"{name} {i}", "label": label}) for i, label in enumerate(labels)]
        (folder / f"{name}.jsonl").write_text("\n".join(rows))
    return str(folder)


def sentences(part):
    return {row["sentence"] for row in part}


def test_two_parts_become_three_without_a_row_in_two_of_them(tmp_path):
    path = write(tmp_path, train=[0, 1] * 10, validation=[1] * 7)
    train, validation, test = read_glue("sst2", path, validation=5)
    assert (len(train), len(validation), len(test)) == (15, 5, 7)
    assert not sentences(train) & sentences(validation)
    assert len(sentences(train) | sentences(validation)) == 20
    assert sentences(test) == {f"validation {i}" for i in range(7)}
    assert read_glue("sst2", path, validation=5)[1] == validation


def test_three_parts_stay_as_they_are(tmp_path):
    path = write(tmp_path, train=[0] * 4, validation=[1] * 3, test=[0] * 2)
    train, validation, test = read_glue("sst2", path, validation=5)
    assert [len(part) for part in (train, validation, test)] == [4, 3, 2]
    assert sentences(test) == {"test 0", "test 1"}


def test_mnli_is_reported_on_its_matched_part(tmp_path):
    row = json.dumps({"premise": "a", "hypothesis": "b", "label": 2})
    for name in ("train", "validation_matched", "validation_mismatched"):
        (tmp_path / f"{name}.jsonl").write_text("\n".join([row] * (6 if name == "train" else 2)))
    assert [len(part) for part in read_glue("mnli", str(tmp_path), validation=1)] == [5, 1, 2]


def test_the_hub_is_asked_for_its_labelled_parts(monkeypatch):
    asked = []

    def load(name, config, split, columns):
        asked.append((name, config, split, sorted(columns)))
        return [{"question": "q", "sentence": "s", "label": 0}] * 4

    monkeypatch.setattr(glue, "load_hub", load)
    read_glue("qnli", None, validation=1)
    columns = ["label", "question", "sentence"]
    assert asked == [("nyu-mll/glue", "qnli", part, columns) for part in ("train", "validation")]


def test_labels_that_are_not_published_are_refused_by_file_and_row(tmp_path):
    path = write(tmp_path, train=[0, 1], validation=[1], test=[-1])
    with pytest.raises(DataError, match=r"test.jsonl: row 1 has the label -1, but the range is 0 to 1"):
        read_glue("cola", path, validation=1)


@pytest.mark.parametrize("label", [-1.0, 5.1, 10**400], ids=["hidden", "high", "huge"])
def test_scores_out_of_range_are_refused_too(tmp_path, label):
    rows = [{"sentence1": "a", "sentence2": "b", "label": score} for score in (0, 5.0)]
    for part, last in (("train", 2.5), ("validation", 1), ("test", label)):
        (tmp_path / f"{part}.jsonl").write_text("\n".join(map(json.dumps, [*rows, rows[0] | {"label": last}])))
    with pytest.raises(DataError, match=r"test.jsonl: row 3 has the label .{3,40}, but the range is 0 to 5"):
        read_glue("stsb", str(tmp_path), validation=1)


def test_a_missing_part_is_named(tmp_path):
    with pytest.raises(DataError, match=r"has no train.jsonl with a validation.jsonl"):
        read_glue("cola", write(tmp_path, train=[0]), validation=1)
