from regdrop.tasks.tokens import encoding
from regdrop.tasks.tokens.bpe import EOS, train_bpe


def test_parts_do_not_show(monkeypatch):
    texts = [f"text number {i}" for i in range(7)]
    tokenizer = train_bpe(texts, 300)
    whole = [each.ids for each in encoding.encode(texts, tokenizer, 64)]
    monkeypatch.setattr(encoding, "ENCODED_AT_ONCE", 3)
    assert [each.ids for each in encoding.encode(texts, tokenizer, 64)] == whole
    assert [tokenizer.decode(ids).strip() for ids in whole] == texts


def test_long_texts_are_cut_and_padding_is_off():
    tokenizer = train_bpe(["abc"], 270)
    tokenizer.enable_padding(length=9)
    first, second = encoding.encode(["abcabcabc", "a"], tokenizer, positions=4)
    assert len(first.ids) == 4
    assert first.ids[-1] == second.ids[-1] == EOS
    assert len(second.ids) < 4
