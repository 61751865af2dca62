import pytest

from regdrop.errors import CheckpointError, DataError, RecipeError
from regdrop.tasks.models.encoder_decoder import EncoderDecoderModel
from regdrop.tasks.seq2seq import split_pairs
from regdrop.tasks.tokens.bpe import train_bpe
from regdrop.tasks.tokens.pairs import TextPairs
from seq2seq_files import english, german

SIZES = {"vocabulary": 300, "width": 16, "feed_forward": 32, "layers": 1, "heads": 2, "positions": 64}


def pairs(begin, end):
    return TextPairs([german(i) for i in range(begin, end)], [english(i) for i in range(begin, end)])


def split(*, test=None, **changes):
    test = pairs(25, 30) if test is None else test
    return split_pairs(pairs(0, 20), pairs(20, 25), test, EncoderDecoderModel(**SIZES | changes), "en")


def test_the_vocabulary_is_learned_from_the_training_part_alone():
    splits = split(test=TextPairs(["zzyzx " * 50] * 50, ["qwertz " * 50] * 50))
    texts = pairs(0, 20)
    assert splits.train.tokenizer.get_vocab() == train_bpe(texts.sources + texts.targets, 300).get_vocab()
    assert splits.test.tokenizer is splits.train.tokenizer


def test_parts_and_token_batches():
    splits = split()
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (20, 5, 5)
    assert splits.test.references == pairs(25, 30).targets
    batches = list(splits.batches(200, 0))
    assert sorted(index for batch in batches for index in batch) == list(range(20))
    assert all(len(batch) * splits.train.lengths[batch].max() <= 200 for batch in batches)
    assert list(splits.batches(200, 1)) != batches


def test_an_empty_part_is_named():
    with pytest.raises(DataError, match="the test part holds no pair"):
        split(test=TextPairs([], []))


def test_a_vocabulary_too_small_for_the_bytes_says_what_to_pass():
    with pytest.raises(RecipeError, match=r"model\.vocabulary 100 is too small .*--model\.vocabulary 260"):
        split(vocabulary=100)


def test_a_pretrained_tokenizer_is_read_from_its_folder(tmp_path):
    texts = pairs(0, 20)
    train_bpe(texts.targets, 280).save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "config.json").write_text('{"model_type": "bart"}')
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    splits = split(architecture="bart", pretrained=str(tmp_path))
    assert splits.train.tokenizer.get_vocab_size() == 280


def test_a_pretrained_tokenizer_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(CheckpointError, match=r"no tokenizer for .*--model\.pretrained null") as caught:
        split(architecture="bart", pretrained=str(tmp_path))
    assert "\n" not in str(caught.value)
