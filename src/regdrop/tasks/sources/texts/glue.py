"""The rows of a GLUE task in three parts: from the hub, or a local folder of JSON lines with the same columns."""

from collections.abc import Sequence
from typing import Any

from regdrop.errors import DataError
from regdrop.tasks.glue import GLUE, HUB, GlueName, GlueTask
from regdrop.tasks.holdout import hold_out_indices
from regdrop.tasks.sources.hub import load_hub
from regdrop.tasks.sources.jsonl import find_part, read_jsonl
from regdrop.tasks.sources.rows import Columns

Rows = Sequence[dict[str, Any]]


def read_glue(name: GlueName, path: str | None, validation: int) -> tuple[Rows, Rows, Rows]:
    r"""Rows to learn from, to choose by and to report on.

    Args:
        name: which task.
        path: folder of train.jsonl, validation.jsonl and perhaps test.jsonl; None: the hub, whose test part has no
            labels.
        validation: without a test part, this many rows are held out of the training part to choose by, and the
            validation part is reported on.

    Raises:
        DataError: a part is missing or damaged, a label is out of the task's range, or there is too little to hold out.

    Example:
        >>> import json
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     for part in ("train", "validation"):
        ...         rows = [json.dumps({"sentence": f"{part} {i}", "label": i % 2}) for i in range(10)]
        ...         _ = Path(folder, f"{part}.jsonl").write_text("\n".join(rows))
        ...     [len(part) for part in read_glue("cola", folder, validation=3)]
        [7, 3, 10]
    """
    task = GLUE[name]
    columns: Columns = {**dict.fromkeys(task.texts, str), "label": (int, float) if task.classes == 1 else int}
    parts = _hub_parts(name, columns) if path is None else _local_parts(path, task, columns)
    first, *others = (_checked(rows, task, title) for title, rows in parts.items())
    if len(others) == 2:
        return first, others[0], others[1]
    left, held = hold_out_indices(len(first), validation)
    return [first[i] for i in left.tolist()], [first[i] for i in held.tolist()], others[0]


def _hub_parts(name: GlueName, columns: Columns) -> dict[str, Rows]:
    return {f"{HUB} ({name}), {part}": load_hub(HUB, name, part, columns) for part in ("train", GLUE[name].validation)}


def _local_parts(path: str, task: GlueTask, columns: Columns) -> dict[str, Rows]:
    """The training part, the validation part, and the test part where there is one; each by its file."""
    train, validation, test = (
        find_part(path, *names) for names in (("train",), ("validation", task.validation), ("test",))
    )
    if train is None or validation is None:
        raise DataError(f"{path} has no train.jsonl with a validation.jsonl; --data.path needs both of them")
    return {str(part): read_jsonl(part, columns) for part in (train, validation, test) if part is not None}


def _checked(rows: Rows, task: GlueTask, title: str) -> Rows:
    """Refuse labels out of range, such as the -1 of a part whose labels are not published."""
    for index, row in enumerate(rows):
        if not 0 <= row["label"] <= task.highest:
            raise DataError(
                f"{title}: row {index + 1} has the label {str(row['label'])[:40]}, but the range is "
                f"0 to {task.highest}; leave out the rows, or the part, without labels"
            )
    return rows
