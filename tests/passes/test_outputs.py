"""Tensors in nested structures."""

from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import pytest
import torch
from transformers import BatchEncoding
from transformers.modeling_outputs import SequenceClassifierOutput

from regdrop.errors import UnsupportedError
from regdrop.passes.outputs import logits_of, map_tensors, tensors_in, with_loss

Pair = namedtuple("Pair", ["loss", "logits"])
ONE, TWO = torch.ones(2, 3), torch.full((2, 3), 2.0)


@dataclass(frozen=True)
class Plain:
    logits: torch.Tensor
    note: str = "kept"
    loss: torch.Tensor | None = None


STRUCTURES = [
    ONE,
    (ONE, [ONE, None], "text"),
    Pair(None, ONE),
    {"logits": ONE, "deep": {"states": (ONE, ONE)}, "n": 3},
    OrderedDict(logits=ONE),
    BatchEncoding({"logits": ONE}),
    SequenceClassifierOutput(logits=ONE, hidden_states=(ONE, ONE)),
    Plain(ONE),
]


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda structure: type(structure).__name__)
def test_the_structure_is_rebuilt_and_the_original_left_alone(structure):
    doubled = map_tensors(lambda a, b: a + b, structure, structure)
    assert type(doubled) is type(structure)
    assert len(list(tensors_in(doubled))) == len(list(tensors_in(structure))) > 0
    assert all(torch.equal(tensor, TWO) for tensor in tensors_in(doubled))
    assert all(torch.equal(tensor, ONE) for tensor in tensors_in(structure))


def test_model_outputs_keep_keys_and_attributes_together():
    output = map_tensors(lambda a: a * 2, SequenceClassifierOutput(logits=ONE, hidden_states=(ONE, ONE)))
    assert list(output.keys()) == ["logits", "hidden_states"]
    assert torch.equal(output["logits"], output.logits)
    assert output.to_tuple()[0] is output.logits


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda structure: type(structure).__name__)
def test_logits_are_found(structure):
    if isinstance(structure, tuple) and not isinstance(structure, Pair):
        assert logits_of(structure)[0] is structure[0]
    else:
        assert torch.equal(logits_of(structure)[0], ONE)


def test_missing_logits_name_what_is_there():
    with pytest.raises(UnsupportedError, match="no start_logits and end_logits; it holds the keys 'loss', 'logits'"):
        logits_of({"loss": None, "logits": ONE}, ("start_logits", "end_logits"))
    with pytest.raises(UnsupportedError, match="no logits; it holds 2 entries: NoneType, Tensor"):
        logits_of((None, torch.tensor(1.0)))


@pytest.mark.parametrize(
    "structure",
    [
        *STRUCTURES,
        (torch.tensor(1.0), ONE),
        (ONE, torch.tensor(1.0)),
        (ONE,),
        {"loss": torch.tensor(1.0), "logits": ONE},
    ],
    ids=lambda structure: type(structure).__name__,
)
def test_the_loss_is_replaced_or_put_in_front(structure):
    loss = torch.tensor(7.0)
    output = with_loss(structure, loss)
    if isinstance(output, tuple):
        scalars = [entry for entry in output if isinstance(entry, torch.Tensor) and entry.ndim == 0]
        assert scalars == [loss]
        assert any(entry is ONE for entry in output)
    else:
        value = output["loss"] if isinstance(output, dict) else output.loss
        assert value is loss
        assert logits_of(output)[0] is ONE
    if isinstance(structure, SequenceClassifierOutput):
        assert output.to_tuple()[0] is loss
