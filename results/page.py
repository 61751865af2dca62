"""docs/results.md from the records: a template whose tables and numbers are filled in."""

from collections.abc import Mapping

from jinja2 import Environment, StrictUndefined

from regdrop.checkpoints.atomic import atomic_path
from regdrop.reports.pictures.files import save_picture
from results.columns import columns_of
from results.numbers import Numbers
from results.picture import draw_gains
from results.rows import HERE, RECORDS, Record, read_records, read_rows
from results.tables import (
    Found,
    calibration_table,
    difference_table,
    memory_table,
    other_table,
    score_table,
    time_table,
)

TEMPLATE = HERE / "page.md.j2"
PAGE = HERE.parent / "docs" / "results.md"
PICTURE = RECORDS.parent / "gains.png"
TABLES = {
    "scores": score_table,
    "differences": difference_table,
    "others": other_table,
    "calibration": calibration_table,
    "time": time_table,
    "memory": memory_table,
}


def write_results() -> None:
    """Write the page and its picture from the records."""
    records = read_records()
    save_picture(draw_gains(_found(records)), PICTURE)
    with atomic_path(PAGE) as beside:
        beside.write_text(render(records), encoding="utf-8")


def render(records: Mapping[str, Record]) -> str:
    """The text of docs/results.md."""
    rows, found = read_rows(), _found(records)
    tables = {name: table(found).text("github") for name, table in TABLES.items()}
    numbers = Numbers(rows, {name: columns for name, (_, columns) in found.items()})
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)  # noqa: S701 - Markdown
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(rows=rows, records=records, numbers=numbers, **tables)


def _found(records: Mapping[str, Record]) -> Found:
    rows = read_rows()
    return {name: (rows[name], columns_of(record.study)) for name, record in records.items()}
