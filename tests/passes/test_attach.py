"""attach on every head: value and gradient against two hand-written passes, and what must not change."""

import inspect

import pytest
import torch
import transformers as hf
from torch import nn

from passes.masks import per_sample_masks
from passes.own import Counted, own_batch
from passes.tiny import BASE, BY_NAME, CASES
from passes.two_pass import gradients, reference, relative_error
from regdrop import attach
from regdrop.errors import InputError, NoNoiseError, UnsupportedError

BERT = BY_NAME["BERT sequence classification"]
CAUSAL = BY_NAME["Llama causal LM"]


@pytest.mark.parametrize("mode", ["concat", "sequential"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_value_and_gradient_equal_two_passes_by_hand(case, mode):
    model, batch = case.model(), case.batch(5)
    loss, task, divergence, expected = reference(model, case.kind, batch, alpha=2.0)
    handle = attach(model, alpha=2.0, mode=mode)
    with per_sample_masks(model, forwards=2 if mode == "sequential" else 1):
        output = model(**batch)
    output.loss.backward()
    assert divergence > 1e-4
    assert output.loss.item() == pytest.approx(loss, rel=1e-5)
    assert handle.task_loss.item() == pytest.approx(task, rel=1e-5)
    assert handle.kl.item() == pytest.approx(divergence, rel=1e-4)
    assert relative_error(gradients(model), expected) < 1e-5


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_num_items_divides_the_sum(case):
    model, batch = case.model(), case.batch(5)
    loss, task, divergence, expected = reference(model, case.kind, batch, alpha=2.0)
    items = sum(int((batch[name] != -100).sum()) for name in batch if name in ("labels", "start_positions"))
    items -= int((batch["labels"][:, 0] != -100).sum()) if case.kind == "causal" else 0
    handle = attach(model, alpha=2.0)
    with per_sample_masks(model):
        output = model(**batch, num_items_in_batch=torch.tensor(3 * items))
    output.loss.backward()
    assert output.loss.item() == pytest.approx(loss / 3, rel=1e-5)
    assert relative_error({name: 3 * grad for name, grad in gradients(model).items()}, expected) < 1e-5
    assert handle.pop_metrics() == pytest.approx({"kl": divergence, "task_loss": task}, rel=1e-4)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_eval_is_untouched(case):
    model, batch = case.model().eval(), case.batch(4)
    with torch.no_grad():
        expected = model(**batch)
        handle = attach(model, alpha=1.0)
        output = model(**batch)
    assert torch.equal(output.loss, expected.loss)
    assert handle.pop_metrics() == {}
    assert all(torch.equal(output[name], expected[name]) for name in output if isinstance(output[name], torch.Tensor))


def test_eval_is_one_forward_of_one_batch():
    model = Counted()
    attach(model, alpha=1.0)
    x, y = own_batch()
    model(x, y)
    assert (model.forwards, model.rows, model.saw_labels) == (1, 8, False)
    model.eval()(x, y)
    assert (model.forwards, model.rows, model.saw_labels) == (2, 4, True)


def test_class_signature_and_state_dict_are_untouched_and_remove_restores():
    model, batch = BERT.model(), BERT.batch(4)
    before = (type(model), inspect.signature(model.forward), list(model.state_dict()), set(vars(model)))
    torch.manual_seed(3)
    plain = model(**batch)
    handle = attach(model, alpha=1.0)
    assert (type(model), inspect.signature(model.forward), list(model.state_dict()), set(vars(model))) == before
    handle.remove()
    torch.manual_seed(3)
    assert torch.equal(model(**batch).loss, plain.loss)
    assert not model._forward_hooks
    assert not model._forward_pre_hooks
    attach(model, alpha=1.0)  # and it can be attached again


def test_attaching_twice_is_refused():
    model = Counted()
    attach(model, alpha=1.0)
    with pytest.raises(InputError, match="attached to this Counted already; call remove"):
        attach(model, alpha=2.0)


@pytest.mark.parametrize(
    ("model_class", "config", "knob"),
    [
        (hf.LlamaForCausalLM, hf.LlamaConfig(**BASE, num_key_value_heads=1), "attention_dropout=0.1"),
        (hf.ModernBertForMaskedLM, hf.ModernBertConfig(**BASE), "mlp_dropout"),
        (hf.ViTForImageClassification, hf.ViTConfig(hidden_size=16, num_attention_heads=2), "hidden_dropout_prob=0.1"),
    ],
    ids=["Llama", "ModernBERT", "ViT"],
)
def test_models_without_dropout_are_refused_by_default(model_class, config, knob):
    with torch.device("meta"):
        model = model_class(config)
    with pytest.raises(NoNoiseError, match=f"{model_class.__name__} would give the same output .* found .*{knob}"):
        attach(model, alpha=1.0)


def test_an_unknown_head_is_refused_with_what_to_pass():
    with pytest.raises(UnsupportedError, match=r"BertForPreTraining has no head .* task=") as refusal:
        attach(hf.BertForPreTraining(hf.BertConfig(**BASE)), alpha=1.0)
    assert "classification, regression, multilabel, causal_lm" in str(refusal.value)


def test_one_sample():
    for case in CASES:
        model, batch = case.model(), case.batch(1)
        loss, _, _, expected = reference(model, case.kind, batch, alpha=1.0)
        attach(model, alpha=1.0)
        with per_sample_masks(model):
            output = model(**batch)
        output.loss.backward()
        assert output.loss.item() == pytest.approx(loss, rel=1e-5), case.name
        assert relative_error(gradients(model), expected) < 1e-5, case.name


def _position_ids(model, batch):
    return {"position_ids": torch.arange(batch["input_ids"].shape[1]).expand_as(batch["input_ids"])}


def _one_row_of_position_ids(model, batch):
    return {"position_ids": torch.arange(batch["input_ids"].shape[1])[None]}


def _four_dimensional_mask(model, batch):
    seen = batch["attention_mask"].bool()
    mask = seen[:, None, None, :] & torch.ones(seen.shape[1], seen.shape[1]).tril().bool()
    return {"attention_mask": torch.zeros(mask.shape).masked_fill(~mask, torch.finfo().min)}


def _inputs_embeds(model, batch):
    return {"inputs_embeds": model.get_input_embeddings()(batch["input_ids"]), "input_ids": None}


def _shift_labels(model, batch):
    shifted = nn.functional.pad(batch["labels"], (0, 1), value=-100)[..., 1:]
    return {"shift_labels": shifted}


@pytest.mark.parametrize(
    "change", [_position_ids, _one_row_of_position_ids, _four_dimensional_mask, _inputs_embeds, _shift_labels]
)
def test_other_ways_to_say_the_same_batch(change):
    model, batch = CAUSAL.model(), CAUSAL.batch(4)
    _, _, _, expected = reference(model, "causal", batch, alpha=1.0)
    attach(model, alpha=1.0)
    changed = batch | change(model, batch)
    with per_sample_masks(model) as masks:
        masks.see((torch.cat([batch["input_ids"]] * 2),), {})
        masks.see = lambda args, kwargs: None  # embeddings do not name their samples
        model(**{name: value for name, value in changed.items() if value is not None}).loss.backward()
    assert relative_error(gradients(model), expected) < 1e-5


def test_another_name_for_the_labels_and_another_task():
    class Scores(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Dropout(0.5), nn.Linear(8, 2))

        def forward(self, x, targets):
            return ((self.body(x) - targets).square().mean(), self.body(x))

    model = Scores()
    handle = attach(model, alpha=1.0, task="regression", labels="targets")
    model(torch.randn(4, 8), torch.zeros(4, 2))[0].backward()
    assert handle.kl > 0
    with pytest.raises(UnsupportedError, match=r"forward\(x, targets\) takes no labels; name the argument"):
        attach(Scores(), alpha=1.0)
