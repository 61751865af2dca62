import json

import pytest

from regdrop.errors import DataError
from regdrop.tasks.sources.rows import checked_row
from regdrop.tasks.sources.texts import pairs
from regdrop.tasks.sources.texts.pairs import read_pairs
from seq2seq_files import german, summary_row, translation_row, write_parts


def read(folder, source="de", target="en"):
    return read_pairs(str(folder), None, None, source, target)


def test_pairs_inside_of_a_translation(tmp_path):
    train, validation, test = read(write_parts(tmp_path, translation_row))
    assert (len(train), len(validation), len(test)) == (40, 6, 6)
    assert train.sources[3] == german(3)
    assert test.targets[0] == translation_row(46)["translation"]["en"]


def test_pairs_in_columns_of_their_own(tmp_path):
    train, _, _ = read(write_parts(tmp_path, summary_row), "article", "highlights")
    assert train.targets[1] == summary_row(1)["highlights"]


def test_the_names_of_multi30k_s_files(tmp_path):
    folder = write_parts(tmp_path, translation_row, names=("train", "validation", "test_2016"))
    assert len(read(folder)[2]) == 6


def test_a_missing_part_is_named(tmp_path):
    with pytest.raises(DataError, match=r"has no test\.jsonl"):
        read(write_parts(tmp_path, translation_row, (3, 3), ("train", "validation")))


def test_a_missing_column_is_named_with_its_line(tmp_path):
    with pytest.raises(DataError, match=r"train\.jsonl, line 1: has no 'article'"):
        read(write_parts(tmp_path, lambda i: {"text": "a"}), "article", "highlights")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"translation": {"de": "a"}}, "train.jsonl, row 2, translation: has no 'en'"),
        ({"translation": {"de": "a", "en": 7}}, "train.jsonl, row 2, translation: en is '7', a int"),
        ({"translation": "a"}, "train.jsonl, line 2: translation is 'a', a str"),
        ([], "train.jsonl, line 2: expected an object"),
    ],
)
def test_a_damaged_row_is_named(tmp_path, row, words):
    folder = write_parts(tmp_path, translation_row)
    (folder / "train.jsonl").write_text(f"{json.dumps(translation_row(0))}\n{json.dumps(row)}\n")
    with pytest.raises(DataError) as caught:
        read(folder)
    assert words in str(caught.value)


def test_the_hub_is_asked_for_each_part(monkeypatch):
    asked = []

    def load_hub(name, config, split, columns):
        asked.append((name, config, split))
        return [checked_row({"de": f"{split}", "en": "x", "more": 1}, columns, "row")]

    monkeypatch.setattr(pairs, "load_hub", load_hub)
    parts = read_pairs(None, "some/set", "de-en", "de", "en")
    assert asked == [("some/set", "de-en", part) for part in ("train", "validation", "test")]
    assert [part.sources for part in parts] == [["train"], ["validation"], ["test"]]


def test_data_that_is_not_on_the_hub_needs_a_path():
    with pytest.raises(DataError, match=r"not on the hub; pass --data\.path FOLDER"):
        read_pairs(None, None, None, "de", "en")
