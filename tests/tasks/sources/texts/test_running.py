import json

import pytest

from regdrop.errors import DataError
from regdrop.tasks.sources.texts.running import load_text, read_text

LINES = [" = Title = ", "", "A <unk> sentence , süß ."]


@pytest.mark.parametrize("names", [("train.txt", "valid.txt", "test.txt"), ("wiki.{}.tokens",) * 3], ids=str)
def test_the_files_of_three_parts(tmp_path, names):
    for name, part in zip(names, ("train", "valid", "test"), strict=True):
        (tmp_path / name.format(part)).write_text("\n".join([*LINES, part]) + "\n", encoding="utf-8")
    parts = read_text(str(tmp_path))
    assert parts == {part: [*LINES, part.replace("validation", "valid")] for part in ("train", "validation", "test")}


def test_rows_of_json_are_lines(tmp_path):
    rows = [{"text": f"{line}\n"} for line in LINES]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "test.jsonl").write_text(json.dumps({"text": "two\nlines"}))
    assert read_text(str(tmp_path)) == {"train": LINES, "test": ["two", "lines"]}


def test_line_feeds_alone_end_lines(tmp_path):
    for name in ("train.txt", "test.txt"):
        (tmp_path / name).write_bytes("a\u2028b\x0cc\n".encode())
    assert read_text(str(tmp_path))["train"] == ["a\u2028b\x0cc"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "holds none of them"),
        ({"train.txt": b"a"}, r"holds train\.txt; --data\.path needs"),
        ({"valid.txt": b"a", "test.txt": b"a"}, r"holds valid\.txt, test\.txt"),
        ({"train.txt": b"a\n\xff\n", "test.txt": b"a"}, r"train\.txt, line 2: is not UTF-8"),
        ({"train.txt": b"", "test.txt": b"a"}, r"train\.txt is empty"),
        ({"train.jsonl": b'{"text": 3}', "test.txt": b"a"}, r"train\.jsonl, line 1: text is '3'"),
    ],
    ids=lambda value: None if isinstance(value, dict) else value,
)
def test_a_damaged_folder_is_refused(tmp_path, files, message):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_text(str(tmp_path))


def test_without_the_hub_a_path_is_asked_for(monkeypatch):
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match=r"pass --data\.path FOLDER"):
        load_text("no-such/text", None)
