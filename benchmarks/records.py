"""Results on disk and on screen: JSON and Markdown tables."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from regdrop.checkpoints.atomic import atomic_path


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as beside:
        beside.write_text(text, encoding="utf-8")


def write_json(path: Path, record: Mapping[str, object]) -> None:
    """Write a record as JSON, keys in their order."""
    write(path, json.dumps(record, indent=1) + "\n")


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, the first column left-aligned and the others right-aligned."""
    lines = [header, [":--", *["--:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
