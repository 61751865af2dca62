"""Texts and what is to be written for them: read as strings, served as tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from regdrop.passes.targets import IGNORE
from regdrop.tasks.tokens.bpe import EOS, PAD
from regdrop.tasks.tokens.encoding import encode
from regdrop.tasks.tokens.rows import TokenRows


@dataclass(frozen=True, slots=True)
class TextPairs:
    """Texts, and for each the text that is to be written.

    Attributes:
        sources: what the model reads.
        targets: what it is to write, as many.
    """

    sources: list[str]
    targets: list[str]

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, index: slice) -> "TextPairs":
        return TextPairs(self.sources[index], self.targets[index])


class PairDataset(Dataset[tuple[Tensor, Tensor]]):
    """Serves the tokens of a source and of its target.

    Args:
        pairs: the texts.
        tokenizer: turns text into tokens, and tokens into text.
        positions: longer texts are cut to so many tokens; scores compare with the whole target.
        language: of the targets, where their score depends on it.

    Attributes:
        references: the targets as texts.
    """

    def __init__(self, pairs: TextPairs, tokenizer: Tokenizer, positions: int, language: str = "") -> None:
        self.tokenizer = tokenizer
        self.language = language
        self.references = pairs.targets
        self._sources = _encode(pairs.sources, tokenizer, positions)
        self._targets = _encode(pairs.targets, tokenizer, positions)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """The longer one of source and target, in tokens."""
        return np.maximum(self._sources.lengths, self._targets.lengths)

    def __len__(self) -> int:
        return len(self._sources)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self._sources[index], self._targets[index]


def _encode(texts: Sequence[str], tokenizer: Tokenizer, positions: int) -> TokenRows:
    return TokenRows.of(encoding.ids for encoding in encode(texts, tokenizer, positions))


def collate(items: Sequence[tuple[Tensor, Tensor]]) -> dict[str, Any]:
    """A padded batch: source tokens and their mask, labels, and decoder inputs, which are the labels one step later.

    Example:
        >>> batch = collate([(torch.tensor([5, 2]), torch.tensor([7, 8, 2])), (torch.tensor([2]), torch.tensor([2]))])
        >>> batch["labels"].tolist(), batch["decoder_input_ids"].tolist()
        ([[7, 8, 2], [2, -100, -100]], [[2, 7, 8], [2, 2, 1]])
    """
    sources, targets = zip(*items, strict=True)
    inputs = pad_sequence(list(sources), batch_first=True, padding_value=PAD)
    labels = pad_sequence(list(targets), batch_first=True, padding_value=IGNORE)
    start = torch.full((len(items), 1), EOS)
    before = torch.cat([start, labels[:, :-1]], dim=1)
    return {
        "input_ids": inputs,
        "attention_mask": (inputs != PAD).long(),
        "decoder_input_ids": before.masked_fill(before == IGNORE, PAD),
        "labels": labels,
    }
