"""Rows of text for a model of transformers: which columns it needs, and how they become batches."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from regdrop.errors import DataError
from regdrop.passes.targets import IGNORE

Row = Mapping[str, Any]
Batch = dict[str, Any]
MAX_TOKENS = 512


class TextBatches:
    """Turns rows into the keyword arguments of a forward, labels among them.

    Args:
        tokenizer: of the model.
        columns: the texts; for a classifier and an encoder-decoder the label comes last.
        label2id: of the model's configuration: names of classes.
        classes: how many there are.
    """

    def __init__(self, tokenizer: Any, columns: Sequence[str], label2id: Mapping[str, int], classes: int) -> None:
        self._tokenizer, self._columns, self._label2id, self._classes = tokenizer, columns, label2id, classes
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token

    def classification(self, rows: Sequence[Row]) -> Batch:
        """One or two texts, and a class: its number or its name."""
        *texts, label = self._columns
        batch = self._encoded(*([row[column] for row in rows] for column in texts))
        return batch | {"labels": torch.tensor([self._class(row[label]) for row in rows])}

    def causal_lm(self, rows: Sequence[Row]) -> Batch:
        """One text, of which every token is a label but padding."""
        batch = self._encoded([row[self._columns[0]] for row in rows])
        return batch | {"labels": batch["input_ids"].masked_fill(batch["attention_mask"] == 0, IGNORE)}

    def seq2seq(self, rows: Sequence[Row]) -> Batch:
        """A source and a target text."""
        source, target = self._columns
        targets = self._encoded([row[target] for row in rows], as_target=True)
        labels = targets["input_ids"].masked_fill(targets["attention_mask"] == 0, IGNORE)
        return self._encoded([row[source] for row in rows]) | {"labels": labels}

    def _encoded(self, *texts: Sequence[str], as_target: bool = False) -> Batch:
        length = min(self._tokenizer.model_max_length, MAX_TOKENS)
        options = {"truncation": True, "max_length": length, "padding": True, "return_tensors": "pt"}
        given = {"text_target": texts[0]} if as_target else {"text": texts[0], "text_pair": (*texts, None)[1]}
        return dict(self._tokenizer(**given, **options))

    def _class(self, value: Any) -> int:
        number = self._label2id.get(value) if isinstance(value, str) else value
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < self._classes:
            known = ", ".join(list(self._label2id)[:8])
            raise DataError(
                f"label {str(value)[:40]!r} is no class of the model; use 0 to {self._classes - 1}, or one of {known}"
            )
        return number
