from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regdrop.errors import RecipeError
from regdrop.tasks.tokens.batches import TokenBatches

LENGTHS = st.lists(st.integers(1, 30), min_size=1, max_size=60)


def batches_of(lengths, tokens, seed=0, epoch=0):
    batches = TokenBatches(lengths, tokens, seed)
    batches.set_epoch(epoch)
    assert len(list(batches)) == len(batches)
    return list(batches)


@given(LENGTHS, st.integers(30, 90), st.integers(0, 9))
def test_every_item_once_in_batches_that_fit(lengths, tokens, seed):
    batches = batches_of(lengths, tokens, seed)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert all(len(batch) * max(lengths[index] for index in batch) <= tokens for batch in batches)


@given(LENGTHS, st.integers(30, 90))
def test_no_two_neighbours_in_length_would_fit_one_batch(lengths, tokens):
    def order(batch):
        own = [lengths[i] for i in batch]
        return min(own), max(own), -len(own)

    by_length = sorted(batches_of(lengths, tokens), key=order)
    for first, second in pairwise(by_length):
        assert (len(first) + 1) * min(lengths[i] for i in second) > tokens


def test_the_number_of_batches_is_the_same_in_every_epoch_and_their_order_is_not():
    lengths = [3 + i % 7 for i in range(200)]
    first, again, next_epoch, other = (
        batches_of(lengths, 40, seed, epoch) for seed, epoch in ((0, 0), (0, 0), (0, 1), (1, 0))
    )
    assert first == again
    assert len(first) == len(next_epoch) == len(other)
    assert first != next_epoch != other


def test_items_of_one_length_meet_others_in_every_epoch():
    first, second = ({frozenset(batch) for batch in batches_of([5] * 100, 50, epoch=epoch)} for epoch in (0, 1))
    assert not first & second


def test_an_item_that_fits_no_batch_says_what_to_raise():
    with pytest.raises(RecipeError, match=r"an item has 41 tokens, more than train\.max_tokens 40"):
        TokenBatches([3, 41], 40, seed=0)
