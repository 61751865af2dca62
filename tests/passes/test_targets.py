"""Labels brought to the form the loss takes, and how many of them count."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from regdrop.passes.heads import HEADS
from regdrop.passes.targets import count_items, loss_target


@given(rows=st.integers(1, 3), length=st.integers(1, 6))
def test_shifting_labels_equals_slicing_logits(rows, length):
    labels = torch.randint(-1, 9, (rows, length))
    labels[labels < 0] = -100
    target, ignore_index = loss_target(HEADS["causal_lm"], torch.zeros(2, rows, length, 9), labels)
    assert ignore_index == -100
    assert torch.equal(target[:, :-1], labels[:, 1:])
    assert (target[:, -1] == -100).all()


def test_positions_outside_of_the_sequence_are_padding():
    target, ignore_index = loss_target(
        HEADS["question_answering"], torch.zeros(2, 4, 7), torch.tensor([[0], [6], [7], [9]])
    )
    assert (target.tolist(), ignore_index) == ([0, 6, 7, 7], 7)


def test_a_column_of_labels_is_one_label_a_sample():
    target, _ = loss_target(HEADS["classification"], torch.zeros(2, 3, 5), torch.tensor([[1], [2], [0]]))
    assert target.tolist() == [1, 2, 0]
    soft = torch.rand(3, 5)
    assert loss_target(HEADS["classification"], torch.zeros(2, 3, 5), soft)[0] is soft


@pytest.mark.parametrize(
    ("task", "target", "classes", "items"),
    [
        ("classification", torch.tensor([[1, -100], [2, 0]]), 3, 3),
        ("classification", torch.rand(4, 3), 3, 4),
        ("regression", torch.tensor([1.0, -100.0]), 1, 2),
        ("multilabel", torch.tensor([[1.0, 0.0, -100.0], [1.0, 1.0, 0.0]]), 3, 5),
    ],
)
def test_items_are_counted_as_the_loss_counts_them(task, target, classes, items):
    assert count_items(task, target, classes, -100) == items
