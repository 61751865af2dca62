import pytest

from regdrop.errors import RecipeError
from regdrop.tasks.tokens.bpe import EOS, UNKNOWN
from regdrop.tasks.tokens.vocabulary import learn_vocabulary

LINES = ["to be, or not to be", "", "  to  be\tand ¡süß!"]


def test_words_are_numbered_by_falling_frequency():
    words = ["c"] * 3 + ["a"] * 5 + ["b"]
    tokenizer = learn_vocabulary([" ".join(words)], "word", size=100)
    assert [tokenizer.id_to_token(i) for i in range(4, tokenizer.get_vocab_size())] == ["a", "c", "b"]


def test_words_beyond_the_vocabulary_are_unknown():
    tokenizer = learn_vocabulary(["a a a b b c"], "word", size=6)
    assert tokenizer.get_vocab_size() == 6
    assert tokenizer.encode("a c b").ids == [4, UNKNOWN, 5, EOS]


def test_a_word_that_is_called_unknown_in_the_text_is_the_unknown_one():
    tokenizer = learn_vocabulary(["a <unk> b <unk>"], "word", size=10)
    assert tokenizer.encode("<unk> a").ids[0] == UNKNOWN
    assert tokenizer.get_vocab_size() == 6


@pytest.mark.parametrize("line", LINES)
def test_characters_keep_all_of_a_line(line):
    tokenizer = learn_vocabulary(LINES, "character", size=100)
    encoded = tokenizer.encode(line)
    assert "".join(encoded.tokens[:-1]) == line
    assert encoded.ids[-1] == EOS


@pytest.mark.parametrize("unit", ["word", "character", "bpe"])
def test_every_line_ends_and_the_same_text_gives_the_same_tokens(unit):
    first, second = (learn_vocabulary(iter(LINES * 9), unit, size=280) for _ in range(2))
    assert first.to_str() == second.to_str()
    assert first.encode("").ids == [EOS]
    assert max(first.get_vocab().values()) == first.get_vocab_size() - 1


@pytest.mark.parametrize("unit", ["word", "character"])
def test_a_vocabulary_without_room_is_refused(unit):
    with pytest.raises(RecipeError, match=r"model\.vocabulary 4 has no room beside 4 special tokens"):
        learn_vocabulary(LINES, unit, size=4)
