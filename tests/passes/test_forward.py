"""What the caller gets back: the model's own kind of output, first pass only."""

import copy

import pytest
import torch

from passes.own import Counted, own_batch
from passes.tiny import BY_NAME, CASES
from regdrop import attach

BERT = BY_NAME["BERT sequence classification"]
CAUSAL = BY_NAME["Llama causal LM"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_first_pass_logits_and_output_type_are_kept(case):
    model, batch = case.model(), case.batch(4)
    expected = copy.deepcopy(model)(**batch, output_hidden_states=True)
    attach(model, alpha=1.0)
    output = model(**batch, output_hidden_states=True)
    assert type(output) is type(expected)
    assert output.loss.ndim == 0
    assert set(output.keys()) <= set(expected.keys())
    for name in output.keys() & expected.keys() - {"loss", "hidden_states"}:
        if isinstance(output[name], torch.Tensor):
            assert output[name].shape == expected[name].shape, name


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_tuple_outputs_have_the_loss_in_front(case):
    model, batch = case.model(), case.batch(4)
    attach(model, alpha=1.0, fused_head=False)
    torch.manual_seed(1)
    named = model(**batch)
    torch.manual_seed(1)
    output = model(**batch, return_dict=False)
    assert type(output) is tuple
    assert torch.equal(output[0], named.loss)
    assert torch.equal(output[1], named.to_tuple()[1])


def test_tuple_outputs_by_config():
    model, batch = BERT.model(), BERT.batch(4)
    attach(model, alpha=1.0)
    model.config.return_dict = False
    loss, logits = model(**batch)
    assert loss.ndim == 0
    assert logits.shape == (4, 3)


def test_decoders_do_not_fill_a_cache_unless_asked():
    model, batch = CAUSAL.model(), CAUSAL.batch(2)
    attach(model, alpha=1.0)
    assert model(**batch).past_key_values is None
    assert model(**batch, use_cache=True).past_key_values is not None


@pytest.mark.parametrize(
    "form",
    [
        lambda loss, logits: {"logits": logits},
        lambda loss, logits: {"loss": loss, "logits": logits},
        lambda loss, logits: (loss, logits),
        lambda loss, logits: (logits,) if loss is None else (loss, logits),
        lambda loss, logits: (logits, loss),
        lambda loss, logits: logits if loss is None else (loss, logits),
    ],
    ids=["dict without", "dict", "(loss, logits)", "(logits,)", "(logits, loss)", "logits"],
)
@pytest.mark.parametrize("keep", [False, True])
def test_models_of_ones_own(form, keep):
    model = Counted(form)
    handle = attach(model, alpha=1.0, keep_labels=keep)
    x, y = own_batch()
    output = model(x, y)
    assert model.saw_labels is keep
    values = output.values() if isinstance(output, dict) else output
    loss = next(value for value in values if value.ndim == 0)
    logits = next(value for value in values if value.ndim == 2)
    assert logits.shape == (4, 3)
    assert loss.item() == pytest.approx((handle.task_loss + handle.kl).item(), rel=1e-6)
    loss.backward()
    assert model.body[0].weight.grad.abs().sum() > 0
