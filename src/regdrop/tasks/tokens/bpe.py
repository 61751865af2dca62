"""Subword vocabularies learned from a recipe's own training texts."""

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from regdrop.errors import RecipeError

BOS, PAD, EOS, UNKNOWN = range(4)
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")


def train_bpe(texts: Iterable[str], size: int) -> Tokenizer:
    r"""Learn a byte-pair encoding; the same texts give the same one.

    It works on bytes, so no text is unknown to it and decoding gives the text back. Encoding ends a text with `</s>`.
    The special tokens have the ids that fairseq and BART give them: `<s>` 0, `<pad>` 1, `</s>` 2, `<unk>` 3.

    Args:
        texts: to learn from; of both languages, for a shared vocabulary.
        size: tokens in all; there may be fewer where the texts hold fewer pairs.

    Raises:
        RecipeError: the size does not even hold the single bytes.

    Source: Sennrich, Haddow and Birch, arXiv 1508.07909.

    Example:
        >>> bpe = train_bpe(["ein Haus", "a house", "ein Haus am See"], size=270)
        >>> ids = bpe.encode("ein Haus").ids
        >>> ids[-1] == EOS, bpe.decode(ids).strip()
        (True, 'ein Haus')
    """
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    least = len(alphabet) + len(SPECIAL)
    if size < least:
        raise RecipeError(
            f"model.vocabulary {size} is too small for single bytes and the special tokens; "
            f"pass --model.vocabulary {least} or more"
        )
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIAL),
        initial_alphabet=alphabet,
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    bpe.encode_special_tokens = True  # "</s>" written in a text is text
    bpe.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", EOS)])
    return bpe
