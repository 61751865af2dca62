"""Texts to tokens, a part at a time, since the tokenizer's own records are large."""

from collections.abc import Iterator, Sequence
from typing import Any

from tokenizers import Encoding, Tokenizer

ENCODED_AT_ONCE = 10_000


def encode(texts: Sequence[Any], tokenizer: Tokenizer, positions: int | None = None) -> Iterator[Encoding]:
    """Encode texts, or pairs of texts, one after the other; what is longer than `positions` tokens, if given, is cut.

    Example:
        >>> from regdrop.tasks.tokens.bpe import train_bpe
        >>> [len(encoding.ids) for encoding in encode(["abc", "a b a b"], train_bpe(["abc"], 270), positions=3)]
        [2, 3]
    """
    tokenizer.no_padding()
    if positions is None:
        tokenizer.no_truncation()
    else:
        tokenizer.enable_truncation(positions)
    for start in range(0, len(texts), ENCODED_AT_ONCE):
        yield from tokenizer.encode_batch_fast(list(texts[start : start + ENCODED_AT_ONCE]))
