"""The hub's own code on local files in the hub's formats, and what is said where there is no hub."""

import json

import pytest

from regdrop.errors import DataError
from regdrop.tasks.sources import hub
from regdrop.tasks.sources.hub import load_hub

COLUMNS = {"sentence": str, "label": int}


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A data set of JSON lines, laid out as on the hub; nothing is cached outside of it."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "data"
    folder.mkdir()
    for part in ("train", "validation"):
        rows = [{"sentence": f"{part} {i}", "label": i, "idx": i} for i in range(3)]
        (folder / f"{part}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def test_rows_of_a_part(repository):
    rows = load_hub(str(repository), None, "validation", COLUMNS)
    assert rows == [{"sentence": f"validation {i}", "label": i} for i in range(3)]


def test_a_column_that_is_not_there_is_named(repository):
    with pytest.raises(DataError, match=r"train, row 0: has no 'premise'"):
        load_hub(str(repository), None, "train", {"premise": str})


def test_a_part_that_is_not_there_tells_how_to_pass_a_folder(repository):
    with pytest.raises(
        DataError, match=r"cannot load .*, test from the hub .*; pass --data.path FOLDER with test.jsonl"
    ):
        load_hub(str(repository), None, "test", COLUMNS)


def test_no_connection_tells_how_to_pass_a_folder(monkeypatch):
    def unreachable(*args, **kwargs):
        raise ConnectionError("Couldn't reach 'nyu-mll/glue' on the Hub\n(LocalEntryNotFoundError)")

    monkeypatch.setattr(hub, "load_dataset", unreachable)
    with pytest.raises(DataError, match=r"cannot load nyu-mll/glue \(rte\), train .*pass --data.path FOLDER") as caught:
        load_hub("nyu-mll/glue", "rte", "train", COLUMNS)
    assert "\n" not in str(caught.value)
