"""Labelled sentences and pairs of sentences: tokens in memory, padded when they are served."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from regdrop.tasks.glue import GlueTask
from regdrop.tasks.tokens.encoding import encode
from regdrop.tasks.tokens.rows import TokenRows


class SentenceDataset(Dataset[dict[str, Tensor]]):
    """Serves whole batches `{"input_ids", "attention_mask", "token_type_ids", "labels"}`, padded to their longest row.

    Args:
        texts: sentences, or pairs of them.
        labels: int64 classes or float numbers, `(rows,)`.
        glue: the task they are of.
        tokenizer: of the model.
        positions: longer rows are cut to so many tokens.
        pad: the token that padding is made of.
        sort: put short rows first, so that evaluation pads little.

    Example:
        >>> from regdrop.tasks.tokens.bpe import PAD, train_bpe
        >>> from regdrop.tasks.glue import GLUE
        >>> tokenizer = train_bpe(["good"], 300)
        >>> data = SentenceDataset(["good", "good good"], torch.tensor([1, 0]), GLUE["sst2"], tokenizer, 128, PAD)
        >>> batch = data.__getitems__([0, 1])
        >>> batch["attention_mask"].tolist(), batch["labels"].tolist()
        ([[1, 1, 0], [1, 1, 1]], [1, 0])
    """

    def __init__(
        self,
        texts: Sequence[str] | Sequence[tuple[str, str]],
        labels: Tensor,
        glue: GlueTask,
        tokenizer: Tokenizer,
        positions: int,
        pad: int,
        sort: bool = False,
    ) -> None:
        self.glue = glue
        self.tokens, self._firsts = _rows(texts, tokenizer, positions)
        self._labels = labels
        self._pad = pad
        lengths = self.tokens.lengths
        self._order = np.argsort(lengths, kind="stable") if sort else np.arange(len(lengths))

    def __len__(self) -> int:
        return len(self._order)

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Tensor]:
        chosen = self._order[list(indices)]
        rows = [self.tokens[int(index)] for index in chosen]
        lengths = torch.tensor([len(row) for row in rows]).unsqueeze(-1)
        firsts = torch.from_numpy(self._firsts[chosen]).unsqueeze(-1)
        ids = pad_sequence(rows, batch_first=True, padding_value=self._pad)
        places = torch.arange(ids.shape[1])
        inside = places < lengths
        return {
            "input_ids": ids,
            "attention_mask": inside.long(),
            "token_type_ids": (inside & (places >= firsts)).long(),
            "labels": self._labels[torch.from_numpy(chosen)],
        }

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {name: value[0] for name, value in self.__getitems__([index]).items()}


def _rows(
    texts: Sequence[str] | Sequence[tuple[str, str]], tokenizer: Tokenizer, positions: int
) -> tuple[TokenRows, NDArray[np.int64]]:
    """Tokens of every row, and how many of them belong to its first sentence."""
    firsts = np.empty(len(texts), dtype=np.int64)

    def ids() -> Iterator[list[int]]:
        for index, encoding in enumerate(encode(texts, tokenizer, positions)):
            firsts[index] = len(encoding.ids) - sum(encoding.type_ids)
            yield encoding.ids

    return TokenRows.of(ids()), firsts
