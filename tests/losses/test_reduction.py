"""Which items count, and what each adds."""

import pytest
import torch

from regdrop.losses.reduction import item_weights, reduced, valid_items

LIKE = torch.zeros(0)


def test_everything_counts_without_marks():
    assert valid_items(torch.Size([3]), None, None, -100) is None


def test_mask_and_ignore_index_both_exclude():
    valid = valid_items(torch.Size([3]), torch.tensor([1, 1, 0]), torch.tensor([-100, 2, 2]), -100)
    assert valid.tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("reduction", "num_items", "expected"),
    [("mean", None, [0.5, 0.0, 0.5]), ("mean", 8, [0.125, 0.0, 0.125]), ("sum", None, [1.0, 0.0, 1.0])],
)
def test_weights(reduction, num_items, expected):
    valid = torch.tensor([True, False, True])
    assert item_weights(valid, torch.Size([3]), LIKE, reduction, num_items).tolist() == expected


@pytest.mark.parametrize(
    ("reduction", "num_items", "expected"), [("mean", None, 0.5), ("mean", 8, 0.125), ("sum", None, 1)]
)
def test_one_number_where_all_items_count(reduction, num_items, expected):
    assert item_weights(None, torch.Size([2]), LIKE, reduction, num_items) == expected


def test_num_items_may_be_a_tensor():
    weight = item_weights(None, torch.Size([2]), LIKE, "mean", torch.tensor(4))
    assert weight == 0.25


def test_an_item_of_no_weight_never_reaches_the_sum():
    values, weight = torch.tensor([1.0, float("nan")]), torch.tensor([0.5, 0.0])
    assert reduced(values, weight, "mean") == 0.5
    assert reduced(values, weight, "none").tolist() == [0.5, 0.0]
