"""How a text becomes the tokens of a language model: by words, by characters or by learned parts of words."""

from collections.abc import Iterable
from typing import Literal

from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors, trainers

from regdrop.errors import RecipeError
from regdrop.tasks.tokens.bpe import EOS, SPECIAL, UNKNOWN, train_bpe

Unit = Literal["word", "character", "bpe"]
SPLITS = {
    "word": pre_tokenizers.WhitespaceSplit(),
    "character": pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated"),
}


def learn_vocabulary(lines: Iterable[str], unit: Unit, size: int) -> Tokenizer:
    r"""Learn the tokens of a language model; encoding a line ends it with `</s>`.

    Words and characters are numbered by falling frequency after the four special tokens, as adaptive softmax needs
    them; those beyond `size` become `<unk>`.

    Args:
        lines: of the training text, without their line feeds.
        unit: "word" splits at white space, "character" keeps all of it, "bpe" is `train_bpe`.
        size: tokens at most, special ones included.

    Raises:
        RecipeError: the size does not even hold the special tokens, or for "bpe" the single bytes.

    Example:
        >>> tokenizer = learn_vocabulary(["to be or not", "to be"], "word", size=6)
        >>> [tokenizer.id_to_token(i) for i in range(tokenizer.get_vocab_size())]
        ['<s>', '<pad>', '</s>', '<unk>', 'be', 'to']
        >>> tokenizer.encode("not to be").ids
        [3, 5, 4, 2]
    """
    if unit == "bpe":
        return train_bpe(lines, size)
    if size <= len(SPECIAL):
        raise RecipeError(f"model.vocabulary {size} has no room beside {len(SPECIAL)} special tokens; make it larger")
    words = _by_frequency(lines, unit, size)
    numbers = {token: number for number, token in enumerate([*SPECIAL, *words][:size])}
    tokenizer = Tokenizer(models.WordLevel(numbers, unk_token=SPECIAL[UNKNOWN]))
    tokenizer.pre_tokenizer = SPLITS[unit]
    end = SPECIAL[EOS]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"$A {end}", special_tokens=[(end, EOS)])
    return tokenizer


def _by_frequency(lines: Iterable[str], unit: Unit, size: int) -> list[str]:
    """The most frequent words or characters; a word that is spelled as a special token is none of them."""
    counter = Tokenizer(models.WordLevel(unk_token=SPECIAL[UNKNOWN]))
    counter.pre_tokenizer = SPLITS[unit]
    counter.train_from_iterator(lines, trainers.WordLevelTrainer(vocab_size=size, show_progress=False))
    numbers = counter.get_vocab()
    return [word for word in sorted(numbers, key=numbers.__getitem__) if word not in SPECIAL]
