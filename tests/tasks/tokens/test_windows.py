"""Windows over a text: every token is predicted once, from enough before it, and from nothing else."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from regdrop.tasks.language_modeling import TASK
from regdrop.tasks.models.causal_lm import CausalModel, build_causal_lm
from regdrop.tasks.tokens.bpe import EOS
from regdrop.tasks.tokens.vocabulary import learn_vocabulary
from regdrop.tasks.tokens.windows import TokenText, TokenWindows


def numbers(count, vocabulary=50, seed=0):
    tokens = np.random.default_rng(seed).integers(4, vocabulary, count, dtype=np.int32)
    return TokenText(tokens, words=count, characters=count)


@given(count=st.integers(2, 60), size=st.integers(1, 12), data=st.data())
def test_every_token_but_the_first_is_predicted_once_and_in_order(count, size, data):
    context = data.draw(st.integers(0, size - 1))
    text = TokenText(np.arange(100, 100 + count, dtype=np.int32), words=count, characters=count)
    windows = TokenWindows(text, size, context)
    labels = torch.cat([windows[i]["labels"][1:] for i in range(len(windows))])
    assert labels[labels != -100].tolist() == text.tokens[1:].tolist()
    for index in range(len(windows)):
        item = windows[index]
        inputs, labels = item["input_ids"], item["labels"]
        assert len(inputs) == len(labels) == size + 1
        scored = (labels != -100).nonzero().flatten()
        assert torch.equal(labels[scored], inputs[scored])
        before = int(scored[0])
        assert before >= min(context + 1, int(labels[scored[0]]) - 100)
        first, last = int(inputs[0]), int(labels[scored[-1]])
        assert inputs[: last - first + 1].tolist() == list(range(first, last + 1))  # one piece of the text


def tiny_model(positions):
    torch.manual_seed(1)
    return build_causal_lm(CausalModel(vocabulary=50, width=16, depth=2, heads=2, positions=positions)).eval()


def slow_nats(model, text, size, context):
    """One token at a time: its surprise after what the window shows of the text before it."""
    nats, stride = 0.0, size - context
    with torch.no_grad():
        for place in range(1, len(text.tokens)):
            begin = max(0, (place - 1) // stride * stride - context)
            shown = torch.from_numpy(text.tokens[begin:place].astype(np.int64)).unsqueeze(0)
            scores = model(input_ids=shown).logits[0, -1].double().log_softmax(-1)
            nats -= float(scores[text.tokens[place]])
    return nats


@pytest.mark.parametrize(("size", "context"), [(8, 0), (8, 5), (8, 7), (40, 30)])
def test_the_loss_with_context_equals_that_of_one_token_at_a_time(size, context):
    text, model = numbers(37), tiny_model(size + 1)
    windows = TokenWindows(text, size, context)
    batch = torch.utils.data.default_collate([windows[i] for i in range(len(windows))])
    with torch.no_grad():
        losses, counts = TASK.condense(model(input_ids=batch["input_ids"]).logits, batch["labels"])
    assert int(counts.sum()) == 36
    assert float(losses.double().sum()) == pytest.approx(slow_nats(model, text, size, context), rel=1e-5)


def test_a_window_knows_nothing_of_the_others():
    """Other tokens outside of a window, or in the place of its filling, leave its loss as it is."""
    text, model = numbers(30), tiny_model(9)
    other = TokenText(np.where(np.arange(30) < 9, text.tokens, 4), text.words, text.characters)
    first, same = (TokenWindows(part, 8)[0] for part in (text, other))
    assert torch.equal(first["input_ids"], same["input_ids"])
    last = TokenWindows(text, 8)[3]
    assert int((last["labels"] != -100).sum()) == 5
    filled = {**last, "input_ids": torch.where(torch.arange(9) < 6, last["input_ids"], 7)}
    losses = []
    for item in (last, filled):
        with torch.no_grad():
            logits = model(input_ids=item["input_ids"].unsqueeze(0)).logits
        losses.append(TASK.condense(logits, item["labels"].unsqueeze(0))[0])
    torch.testing.assert_close(*losses)


def test_a_text_counts_its_words_characters_and_ends_of_lines():
    lines = ["to be", "", "süß or  not"]
    tokenizer = learn_vocabulary(lines, "bpe", 270)
    text = TokenText.of(lines, tokenizer)
    assert (text.words, text.characters) == (3 + 1 + 4, len("\n".join(lines)) + 1)
    assert text.tokens[0] == EOS
    assert (text.tokens == EOS).sum() == 1 + len(lines)


def test_a_text_with_characters_that_nobody_knows_is_not_given_back():
    tokenizer = learn_vocabulary(["to be"], "character", 20)
    assert TokenText.of(["be to"], tokenizer).lossless
    assert not TokenText.of(["be two"], tokenizer).lossless
    assert not TokenText.of(["be to"], tokenizer, lossless=False).lossless
