import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from regdrop.tasks.tokens.bpe import BOS, EOS, PAD, SPECIAL, UNKNOWN, train_bpe

TEXTS = ["zwei junge Männer im Freien", "two young men are outside", "ein Mann im Freien", "a man outside"] * 3
BPE = train_bpe(TEXTS, 300)


def test_the_special_tokens_are_where_fairseq_and_bart_have_them():
    assert [BPE.token_to_id(token) for token in SPECIAL] == [BOS, PAD, EOS, UNKNOWN] == [0, 1, 2, 3]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_decoding_gives_any_text_back(text):
    ids = BPE.encode(text).ids
    assert ids[-1] == EOS
    assert UNKNOWN not in ids
    assert BPE.decode(ids).removeprefix(" ") == text.removeprefix(" ")


def test_a_special_token_written_in_a_text_is_not_one():
    ids = BPE.encode("a </s> b <pad>").ids
    assert ids.count(EOS) == 1
    assert PAD not in ids


def test_frequent_pairs_become_tokens_up_to_the_size():
    assert BPE.get_vocab_size() == 300
    assert len(BPE.encode("Freien").ids) == 2
    assert train_bpe(["ab"], 1000).get_vocab_size() < 270


def test_another_process_learns_the_same():
    code = f"from regdrop.tasks.tokens.bpe import train_bpe; print(train_bpe({TEXTS!r}, 300).to_str())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == BPE.to_str()
