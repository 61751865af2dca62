"""A text as one long row of tokens, and the windows in which a language model meets it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor
from torch.utils.data import Dataset

from regdrop.passes.targets import IGNORE
from regdrop.tasks.tokens.bpe import EOS, UNKNOWN
from regdrop.tasks.tokens.encoding import encode
from regdrop.tasks.tokens.rows import TokenRows


@dataclass(frozen=True, slots=True)
class TokenText:
    """A text in tokens, and how long it is in units that do not depend on them.

    Attributes:
        tokens: int32 `(tokens,)`; the first is the end of a line before the text, so that all of the text is predicted.
        words: at white space, each line's end counting as one more.
        characters: line feeds included.
        lossless: whether the tokens give the text back: an `<unk>` does not, nor do words, whose white space is lost.
    """

    tokens: NDArray[np.int32]
    words: int
    characters: int
    lossless: bool = True

    @classmethod
    def of(cls, lines: Sequence[str], tokenizer: Tokenizer, *, lossless: bool = True) -> "TokenText":
        """Encode lines; `lossless` is of the tokenizer, as long as it knows every token."""
        rows = TokenRows.of(chain([[EOS]], (encoding.ids for encoding in encode(lines, tokenizer))))
        words = sum(len(line.split()) + 1 for line in lines)
        return cls(rows.values, words, sum(len(line) + 1 for line in lines), lossless and UNKNOWN not in rows.values)


class TokenWindows(Dataset[dict[str, Tensor]]):
    """Cuts a text into windows, in which every token is predicted exactly once.

    A window predicts `size - context` tokens, each from at least `context` + 1 tokens before it (or from all there are,
    at the beginning of the text). The tokens before the predicted ones are labelled -100, and so are those that fill up
    a window to its length, `size` + 1 tokens: the label of a token stands at its own place, as transformers has it.

    Args:
        text: the tokens.
        size: predictions a window would hold without context.
        context: how many of them are not counted, for they have been made in the windows before.

    Source: what fairseq calls --context-window; 0 cuts a text into blocks, as for training.

    Example:
        >>> text = TokenText(np.arange(8, dtype=np.int32), words=7, characters=7)
        >>> for item in TokenWindows(text, size=4, context=2):
        ...     print(item["input_ids"].tolist(), item["labels"].tolist())
        [0, 1, 2, 0, 0] [-100, 1, 2, -100, -100]
        [0, 1, 2, 3, 4] [-100, -100, -100, 3, 4]
        [2, 3, 4, 5, 6] [-100, -100, -100, 5, 6]
        [4, 5, 6, 7, 0] [-100, -100, -100, 7, -100]
    """

    def __init__(self, text: TokenText, size: int, context: int = 0) -> None:
        self.text = text
        self.size = size
        self.context = context
        self.stride = size - context

    def __len__(self) -> int:
        return (len(self.text.tokens) - 2 + self.stride) // self.stride

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        first = 1 + index * self.stride  # the first token predicted
        begin = max(0, first - 1 - self.context)
        tokens = torch.from_numpy(self.text.tokens[begin : first + self.stride].astype(np.int64))
        inputs, labels = torch.zeros(self.size + 1, dtype=torch.int64), torch.full((self.size + 1,), IGNORE)
        inputs[: len(tokens)] = tokens
        labels[first - begin : len(tokens)] = tokens[first - begin :]
        return {"input_ids": inputs, "labels": labels}
