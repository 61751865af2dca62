"""A classification batch as rows: which items count, and with what weight."""

import pytest
import torch

from regdrop.losses.classification import classification_rows

LOGITS = torch.zeros(2, 2, 3, 4)
TARGET = torch.tensor([[0, 1, 2], [3, 0, 1]])


def rows_of(target=TARGET, mask=None, ignore_index=-100, reduction="mean", num_items=None):
    return classification_rows(LOGITS, target, 1.0, ignore_index, mask, 0.0, None, reduction, num_items)


@pytest.mark.parametrize(("options", "weight"), [({}, 1 / 6), ({"reduction": "sum"}, 1.0), ({"num_items": 12}, 1 / 12)])
def test_where_every_item_counts_one_number_is_their_weight(options, weight):
    rows, items = rows_of(**options)
    assert rows.weight == weight
    assert items == (2, 3)
    assert rows.logits.shape == (2, 6, 4)


@pytest.mark.parametrize("ignore_index", [-100, 0, 1, 3, 7])
def test_padding_is_found_wherever_its_mark_lies(ignore_index):
    target = TARGET.clone()
    target[0, 1] = ignore_index
    weight = rows_of(target, ignore_index=ignore_index)[0].weight
    counts = (target != ignore_index).flatten().float()
    assert torch.equal(weight, counts / counts.sum())


def test_a_mark_between_the_classes_that_no_item_bears_leaves_all_weights_alike():
    target = torch.tensor([[0, 0, 2], [3, 0, 2]])
    assert torch.equal(rows_of(target, ignore_index=1)[0].weight, torch.full((6,), 1 / 6))


def test_probabilities_count_but_where_masked():
    soft = torch.full((2, 3, 4), 0.25)
    assert rows_of(soft)[0].weight == 1 / 6
    mask = torch.tensor([[1, 1, 0], [1, 1, 0]])
    assert torch.equal(rows_of(soft, mask)[0].weight, mask.flatten() / 4)
