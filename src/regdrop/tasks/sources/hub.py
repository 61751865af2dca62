"""Data sets of the Hugging Face hub, from its cache or its servers; no code of theirs is run."""

from typing import Any

from datasets import load_dataset

from regdrop.errors import DataError
from regdrop.tasks.sources.rows import Columns, checked_row


def load_hub(name: str, config: str | None, split: str, columns: Columns) -> list[dict[str, Any]]:
    """Rows of one part of a data set.

    Args:
        name: on the hub, such as "nyu-mll/glue".
        config: which of its data sets, such as "rte"; None where it has one only.
        split: which part, as the hub calls it.
        columns: name and type, or types, of each column; see `checked_row`.

    Raises:
        DataError: no connection and nothing cached, or rows of another kind; says how to pass a folder instead.
    """
    title = f"{name}{f' ({config})' if config else ''}, {split}"
    try:
        rows = load_dataset(name, config, split=split)
    except Exception as error:  # the hub's clients raise errors of many libraries
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"cannot load {title} from the hub ({type(error).__name__}: {reason}); pass --data.path FOLDER with "
            f"{split}.jsonl in it, one JSON object a line with {', '.join(columns)}"
        ) from error
    return [checked_row(row, columns, f"{title}, row {index}") for index, row in enumerate(rows)]
