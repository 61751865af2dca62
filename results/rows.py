"""The rows of docs/results.md: which recipe each trains, and the records that it left."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from regdrop.checkpoints.atomic import atomic_path
from regdrop.errors import InputError, nearest
from regdrop.studies.metrics import Metric, metric
from regdrop.studies.result import StudyResult
from regdrop.training.recipe import Recipe, load_recipe
from regdrop.training.typed import read_typed

HERE = Path(__file__).parent
ROWS = HERE / "rows.yaml"
RECORDS = HERE.parent / "docs" / "results" / "records.jsonl"


@dataclass(frozen=True, slots=True)
class Row:
    """One task on one amount of data.

    Attributes:
        name: of its folder and record.
        title: what readers see.
        recipe: the recipe it trains.
        metric: of the test part, what the row is about.
        seeds: how many.
        limits: what it cannot show.
        settings: of the recipe, `section.key: value`.
        data: folder below the data; None where the recipe finds its data itself.
    """

    name: str
    title: str
    recipe: str
    metric: str
    seeds: int
    limits: str
    settings: dict[str, Any]
    data: str | None = None

    @property
    def shown(self) -> Metric:
        """How its metric is named and scaled."""
        return metric(self.metric)

    def load(self, data: Path | None) -> Recipe:
        """Its recipe with its settings, and the data below a folder.

        Raises:
            InputError: the row needs data, and there is no folder.
        """
        words = [f"--{key}={'null' if value is None else value}" for key, value in self.settings.items()]
        if self.data is not None:
            if data is None:
                raise InputError(f"row {self.name} reads {self.data}/; pass --data FOLDER, or set REGDROP_DATA")
            words.append(f"--data.path={data / self.data}")
        return load_recipe(self.recipe, words)


def read_rows(path: Path = ROWS) -> dict[str, Row]:
    """All rows by name, in the order of the page.

    Raises:
        DataError: a row lacks a key, or a value has another type; the text names it.
    """
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    rows = (read_typed(Row, json.dumps(row), f"{path.name}, row {place}") for place, row in enumerate(found))
    return {row.name: row for row in rows}


def chosen_rows(names: Iterable[str]) -> list[Row]:
    """The rows of these names; all where there is none.

    Raises:
        InputError: no row has such a name.
    """
    rows = read_rows()
    for name in names:
        if name not in rows:
            raise InputError(f"unknown row {name!r}: {nearest(name, rows)}")
    return [rows[name] for name in names] or list(rows.values())


@dataclass(frozen=True, slots=True)
class Record:
    """What a row left.

    Attributes:
        row: its name.
        settings: those it was run with.
        study: its arms, seed by seed.
    """

    row: str
    settings: dict[str, Any]
    study: StudyResult


def read_records(path: Path = RECORDS) -> dict[str, Record]:
    """The record of every row that was run, by the row's name; one line of JSON a row.

    Raises:
        DataError: a line is damaged; the text names it.
    """
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    records = (read_typed(Record, line, f"{path.name}, line {number}") for number, line in enumerate(lines, 1))
    return {record.row: record for record in records}


def keep_record(row: Row, study: StudyResult, path: Path = RECORDS) -> None:
    """Put a row's study in the place of the one before; the lines keep the order of the rows."""
    records = {**read_records(path), row.name: Record(row.name, row.settings, study)}
    write_records([records[name] for name in read_rows() if name in records], path)


def write_records(records: Iterable[Record], path: Path) -> None:
    """Write one line a row, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as beside:
        beside.write_text("".join(f"{_line(record)}\n" for record in records), encoding="utf-8")


def _line(record: Record) -> str:
    return json.dumps({"row": record.row, "settings": record.settings, "study": json.loads(record.study.to_json())})
