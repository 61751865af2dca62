"""The tokens of a run, kept beside its weights: learnt from other data, the same ids would mean other words."""

from pathlib import Path

from regdrop.errors import DataError
from regdrop.tasks.task import Splits
from regdrop.training.folder import write

TOKENIZER = "tokenizer.json"


def keep_tokens(splits: Splits, run: Path) -> None:
    """Write `tokenizer.json`, which the tokenizers library reads, into the folder of a run whose data is text."""
    if splits.tokenizer is not None:
        write(run / TOKENIZER, splits.tokenizer.to_str())


def check_tokens(splits: Splits, weights: Path) -> None:
    """Refuse data whose tokens are not those that weights were trained with.

    Args:
        splits: the data.
        weights: a run's folder, or a file or folder in it; where no `tokenizer.json` lies there or in the two folders
            above, nothing is known and nothing refused.

    Raises:
        DataError: the tokens differ.
    """
    kept = next((file for at in (weights, *weights.parents[:2]) if (file := at / TOKENIZER).is_file()), None)
    if kept is None or splits.tokenizer is None:
        return
    if kept.read_text(encoding="utf-8", errors="replace") != splits.tokenizer.to_str():
        raise DataError(
            f"the tokens learnt from this data are not those of {kept}, with which the weights were trained; "
            "give the data and the settings of the run"
        )
