"""Taking the labels out of a forward's arguments."""

import pytest
import torch
from torch import nn

from passes.tiny import BY_NAME
from regdrop.errors import UnsupportedError
from regdrop.passes.batch import Call
from regdrop.passes.heads import HEADS, Head
from regdrop.passes.labels import LabelTaker

X, Y = torch.zeros(2, 3), torch.tensor([0, 1])


class Optional(nn.Module):
    def forward(self, x, labels=None, scale=1.0):
        return x


class Required(nn.Module):
    def forward(self, x, labels):
        return x


class Open(nn.Module):
    def forward(self, *args, **kwargs):
        return args


@pytest.mark.parametrize("call", [Call((X, Y), {}), Call((X,), {"labels": Y}), Call((), {"labels": Y, "x": X})])
def test_optional_labels_are_withheld_and_needed_ones_kept(call):
    for module, kept in ((Optional(), False), (Required(), True)):
        labelled = LabelTaker(module, module, Head()).take(call)
        assert labelled.targets == (Y,)
        assert labelled.call.args == ()
        assert set(labelled.call.kwargs) == ({"x", "labels"} if kept else {"x"})
    assert "labels" in LabelTaker(Optional(), Optional(), Head(), keep=True).take(call).call.kwargs


def test_arguments_without_names_stay_as_they_are():
    labelled = LabelTaker(Open(), Open(), Head()).take(Call((X,), {"labels": Y}))
    assert labelled.call == Call((X,), {"labels": Y})
    assert labelled.targets == (Y,)


def test_the_count_of_items_is_taken_out_and_no_labels_are_said_so():
    labelled = LabelTaker(Optional(), Optional(), Head()).take(Call((X,), {"num_items_in_batch": 7}))
    assert (labelled.targets, labelled.num_items, labelled.call.kwargs) == (None, 7, {"x": X})


def test_half_of_the_labels_is_refused():
    model = BY_NAME["BERT question answering"].model()
    taker = LabelTaker(model, model, HEADS["question_answering"])
    with pytest.raises(UnsupportedError, match="pass start_positions and end_positions together"):
        taker.take(Call((), {"start_positions": Y}))


@pytest.mark.parametrize("name", ["T5 seq2seq", "BART seq2seq", "Marian seq2seq"])
def test_decoder_inputs_are_those_the_model_would_have_made(name):
    model, batch = BY_NAME[name].model().eval(), BY_NAME[name].batch(3)
    labelled = LabelTaker(model, model, HEADS["seq2seq_lm"]).take(Call((), batch))
    assert "labels" not in labelled.call.kwargs
    with torch.no_grad():
        torch.testing.assert_close(model(**labelled.call.kwargs).logits, model(**batch).logits)
    given = {"decoder_input_ids": torch.full((3, 2), 5)}
    kept = LabelTaker(model, model, HEADS["seq2seq_lm"]).take(Call((), batch | given))
    assert kept.call.kwargs["decoder_input_ids"] is given["decoder_input_ids"]


def test_router_losses_need_the_labels():
    model = BY_NAME["T5 seq2seq"].model()
    batch = BY_NAME["T5 seq2seq"].batch(3)
    labelled = LabelTaker(model, model, HEADS["seq2seq_lm"]).take(Call((), batch | {"output_router_logits": True}))
    assert "labels" in labelled.call.kwargs
