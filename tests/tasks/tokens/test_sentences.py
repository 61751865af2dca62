import pytest
import torch
from tokenizers import processors

from regdrop.tasks.glue import GLUE
from regdrop.tasks.tokens.bpe import BOS, EOS, PAD, train_bpe
from regdrop.tasks.tokens.sentences import SentenceDataset

PAIRS = [("one two three", "four"), ("a", "b"), ("five six", "seven eight nine ten")]


@pytest.fixture
def tokenizer():
    """One that tells the sentences of a pair apart."""
    made = train_bpe([text for pair in PAIRS for text in pair], 400)
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B:1 </s>:1", special_tokens=[("<s>", BOS), ("</s>", EOS)]
    )
    return made


def dataset(tokenizer, positions=64, sort=False):
    return SentenceDataset(PAIRS, torch.tensor([0, 1, 0]), GLUE["rte"], tokenizer, positions, PAD, sort)


def test_a_row_alone_is_the_row_in_a_batch_without_its_padding(tokenizer):
    data = dataset(tokenizer)
    batch = data.__getitems__([0, 1, 2])
    for index in range(3):
        alone = data[index]
        length = len(alone["input_ids"])
        assert length == len(tokenizer.encode(*PAIRS[index]).ids)
        for name in ("input_ids", "attention_mask", "token_type_ids"):
            assert torch.equal(batch[name][index, :length], alone[name])
        assert (batch["input_ids"][index, length:] == PAD).all()
        assert not batch["attention_mask"][index, length:].any()
        assert not batch["token_type_ids"][index, length:].any()


def test_the_second_sentence_is_marked(tokenizer):
    data = dataset(tokenizer)
    for index, pair in enumerate(PAIRS):
        assert data[index]["token_type_ids"].tolist() == tokenizer.encode(*pair).type_ids


def test_long_rows_are_cut(tokenizer):
    assert max(dataset(tokenizer, positions=6).tokens.lengths) == 6


def test_sorted_rows_keep_their_labels(tokenizer):
    plain, by_length = dataset(tokenizer), dataset(tokenizer, sort=True)
    lengths = [int(by_length[i]["attention_mask"].sum()) for i in range(3)]
    assert lengths == sorted(lengths)
    assert lengths != [int(plain[i]["attention_mask"].sum()) for i in range(3)]

    def rows(data):
        batch = data.__getitems__([0, 1, 2])
        return {
            (tuple(ids[ids != PAD].tolist()), int(y))
            for ids, y in zip(batch["input_ids"], batch["labels"], strict=True)
        }

    assert rows(plain) == rows(by_length)
