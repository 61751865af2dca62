"""What a batch may look like, and which of a model's answers are items."""

import pytest
import torch
from torch import nn

from diagnostics.nets import labelled, mlp
from passes.tiny import BY_NAME
from regdrop.diagnostics.batches import BatchReader
from regdrop.errors import InputError, UnsupportedError


def reader(model=None, task=None, labels="labels", ignore_index=-100):
    return BatchReader(mlp(0.1) if model is None else model, task, labels, ignore_index)


class TakesLabels(nn.Module):
    def forward(self, x, goal=None):
        return x


def test_inputs_and_labels_in_every_form():
    x, y = labelled(4)
    for batch in ((x, y), [x, y], ({"input": x}, y)):
        read = reader().read(batch)
        assert torch.equal(read.labels[0], y)
        assert torch.equal([*read.call.args, *read.call.kwargs.values()][0], x)
    assert len(reader().read((x, x, y)).call.args) == 2


def test_the_key_of_the_labels_can_be_named():
    x, y = labelled(4)
    read = reader(TakesLabels(), labels="goal").read({"x": x, "goal": y})
    assert torch.equal(read.labels[0], y)
    assert list(read.call.kwargs) == ["x"]


def test_padding_is_left_out_whatever_marks_it():
    logits = torch.randn(3, 2, 4, 5)
    target = torch.tensor([[1, 7, -100, 2], [7, 3, 0, 7]])
    only = reader(ignore_index=7)
    items = only.items(only.read((torch.zeros(2, 4), target)), 0, logits)
    assert items.target.tolist() == [1, 2, 3, 0]
    assert torch.equal(items.logits, logits[:, target.ne(7) & target.ne(-100)])


def test_labels_of_a_causal_language_model_are_those_of_the_next_position():
    case = BY_NAME["GPT-2 causal LM"]
    batch = case.batch(3)
    only = reader(case.model())
    read = only.read(batch)
    logits = torch.randn(2, *batch["labels"].shape, 64)
    items = only.items(read, 0, logits)
    after = batch["labels"][:, 1:]
    assert torch.equal(items.target, after[after != -100])
    assert torch.equal(items.logits, logits[:, :, :-1][:, after != -100])


def test_labels_that_stand_at_their_place_already_are_not_shifted():
    case = BY_NAME["Llama causal LM"]
    batch = case.batch(2)
    batch["shift_labels"] = batch["labels"].clone()
    only = reader(case.model())
    items = only.items(only.read(batch), 0, torch.randn(2, *batch["labels"].shape, 64))
    assert torch.equal(items.target, batch["labels"][batch["labels"] != -100])


def test_entries_of_a_multi_label_target_are_items_of_two_classes():
    only = reader(task="multilabel")
    target = torch.tensor([[0.0, 1.0, -100.0]])
    logits = torch.tensor([[[0.3, -2.0, 9.0]]]).expand(2, 1, 3)
    items = only.items(only.read((torch.zeros(1, 8), target)), 0, logits)
    assert items.target.tolist() == [0, 1]
    torch.testing.assert_close(items.logits.softmax(-1)[0, :, 1], torch.tensor([0.3, -2.0]).sigmoid())


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (torch.zeros(4, 8), "a batch of type Tensor holds no labels"),
        ((torch.zeros(4, 8),), "a batch of type tuple holds no labels"),
        ((torch.zeros(4, 8), [1, 2]), "a batch of type tuple holds no labels"),
    ],
)
def test_a_batch_without_labels_is_refused(batch, message):
    with pytest.raises(InputError, match=message):
        reader().read(batch)


def test_a_mapping_without_labels_says_which_keys_it_has():
    with pytest.raises(InputError, match=r"no 'labels' among its keys \('input_ids'\).*labels="):
        reader(BY_NAME["BERT token classification"].model()).read({"input_ids": torch.ones(1, 3).long()})


@pytest.mark.parametrize(
    ("target", "task", "error", "message"),
    [
        (torch.tensor([0, 5]), None, InputError, "target 5 is outside the 3 classes"),
        (torch.tensor([0]), None, InputError, r"target has shape \(1,\)"),
        (torch.full((2, 3), 1 / 3), None, InputError, "are probabilities; diagnose needs one class an item"),
        (torch.full((2, 3), 0.5), "multilabel", InputError, "values other than 0 and 1"),
        (torch.zeros(2, 3), "regression", UnsupportedError, "Sequential predicts numbers"),
    ],
)
def test_labels_that_are_no_classes_are_refused(target, task, error, message):
    only = reader(task=task)
    with pytest.raises(error, match=message):
        only.items(only.read((torch.zeros(2, 8), target)), 0, torch.zeros(2, 2, 3))


def test_an_unknown_task_is_refused():
    with pytest.raises(InputError, match=r"unknown task 'causal_ml': did you mean 'causal_lm'\?"):
        reader(task="causal_ml")
