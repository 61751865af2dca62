"""What the loss of a forward is made of beside the logits: router losses, class options and penalties."""

import copy
import logging

import pytest
import torch
import transformers as hf
from torch import nn

import reference
from passes.masks import per_sample_masks
from passes.own import Counted, own_batch
from passes.tiny import BY_NAME, LLAMA, VOCAB
from passes.two_pass import gradients, relative_error, run_pass, sums
from regdrop import attach
from regdrop.errors import InputError, UnsupportedError

BERT = BY_NAME["BERT sequence classification"]
CAUSAL = BY_NAME["Llama causal LM"]


def test_mixture_of_experts_keeps_its_auxiliary_loss_once_a_pass():
    options = {"num_local_experts": 4, "num_experts_per_tok": 2, "output_router_logits": True}
    model = hf.MixtralForCausalLM(hf.MixtralConfig(**LLAMA, **options, router_aux_loss_coef=0.1)).train()
    batch = CAUSAL.batch(4)
    handle = attach(model, alpha=1.0)
    output = model(**batch)
    parts = handle.task_loss + handle.kl + 2 * 0.1 * output.aux_loss
    assert output.aux_loss > 0.5
    assert output.loss.item() == pytest.approx(parts.item(), rel=1e-5)
    items = int((batch["labels"][:, 1:] != -100).sum())
    output = model(**batch, num_items_in_batch=4 * items)
    parts = handle.task_loss + handle.kl + 2 * 0.1 * output.aux_loss
    assert output.loss.item() == pytest.approx(parts.item() / 4, rel=1e-5)


def test_an_encoder_decoder_with_experts_keeps_all_its_router_losses():
    config = hf.SwitchTransformersConfig(
        vocab_size=VOCAB, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2, num_experts=2,
        decoder_start_token_id=0, num_sparse_encoder_layers=1, num_sparse_decoder_layers=1,
    )  # fmt: skip
    model = hf.SwitchTransformersForConditionalGeneration(config).train()
    handle = attach(model, alpha=1.0)
    output = model(**BY_NAME["T5 seq2seq"].batch(4), output_router_logits=True)
    z = output.encoder_z_loss + output.decoder_z_loss
    aux = output.encoder_aux_loss + output.decoder_aux_loss
    router = config.router_z_loss_coef * z + config.router_aux_loss_coef * aux
    assert router > 0.001
    assert output.loss.item() == pytest.approx((handle.task_loss + handle.kl + 2 * router).item(), rel=1e-5)


def test_label_smoothing_and_class_weight_pass_through():
    model, batch = BERT.model(), BERT.batch(5)
    weight = torch.tensor([1.0, 2.0, 0.5])
    handle = attach(model, alpha=0.0, label_smoothing=0.1, class_weight=weight)
    with per_sample_masks(model):
        loss = model(**batch).loss
        handle.remove()
        logits = [model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits]
    with per_sample_masks(model, first_pass=1):
        logits.append(model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits)
    options = {"label_smoothing": 0.1, "weight": weight, "reduction": "sum"}
    parts = [nn.functional.cross_entropy(z, batch["labels"], **options) for z in logits]
    assert loss.item() == pytest.approx(sum(parts).item() / 5, rel=1e-5)


PENALISED = [
    "BERT sequence classification",
    "BERT multi-label",
    "BERT token classification",
    "BERT question answering",
    "Llama causal LM",
    "T5 seq2seq",
]


def slow_penalty(case, penalty, passes, full, batch):
    """Of a whole batch, by the loops of `reference`; the mean over a head's logits and their items that count."""
    names = ("start_logits", "end_logits") if case.kind == "qa" else ("logits",)
    return sum(_slow_part(case, penalty, torch.stack([z[n] for z in passes]), full[n], batch) for n in names) / len(
        names
    )


def _slow_part(case, penalty, logits, full, batch):
    if case.kind == "causal":
        counted = torch.nn.functional.pad(batch["labels"], (0, 1), value=-100)[:, 1:] != -100
    elif case.kind in ("tokens", "seq2seq"):
        counted = batch["labels"] != -100
    else:
        counted = torch.ones(full.shape if case.kind == "multilabel" else full.shape[:-1], dtype=torch.bool)
    logits, full = logits[:, counted], full[counted]
    if case.kind == "multilabel":  # a label's score against 0 is its Bernoulli distribution
        logits, full = logits.unsqueeze(-1), full.unsqueeze(-1)
        if penalty == "full_kl":
            logits, full = (nn.functional.pad(z, (0, 1)) for z in (logits, full))
    items = range(logits.shape[1])
    if penalty == "logit_mse":
        return sum(reference.logit_mse(logits[:, i]) for i in items) / len(items)
    return sum(reference.full_kl(logits[:, i], full[i]) for i in items) / len(items)


@pytest.mark.parametrize("penalty", ["logit_mse", "full_kl"])
@pytest.mark.parametrize("name", PENALISED)
def test_a_penalty_takes_the_place_of_the_kl_in_value_and_gradient(name, penalty):
    case = BY_NAME[name]
    model, batch = case.model(), case.batch(3)
    slow = copy.deepcopy(model).double()
    passes = [run_pass(slow, batch, which) for which in (0, 1)]
    _, task, kl, items = sums(case.kind, *passes, batch, 0.0)
    pull = slow_penalty(case, penalty, passes, run_pass(slow.eval(), batch, 0), batch)
    loss = task / items + 3.0 * pull
    loss.backward()
    handle = attach(model, alpha=3.0, penalty=penalty)
    with per_sample_masks(model):
        output = model(**batch)
    output.loss.backward()
    assert output.loss.item() == pytest.approx(loss.item(), rel=1e-5)
    assert handle.kl.item() == pytest.approx((kl / items).item(), rel=1e-3)  # still Eq. 2
    assert relative_error(gradients(model), gradients(slow)) < 1e-4


@pytest.mark.parametrize("penalty", ["logit_mse", "full_kl"])
def test_a_global_count_divides_a_penalty_too(penalty):
    case = BY_NAME["Llama causal LM"]
    model, batch, losses = case.model(), case.batch(4), []
    attach(model, alpha=3.0, penalty=penalty)
    items = (batch["labels"][:, 1:] != -100).sum()
    for more in ({}, {"num_items_in_batch": 4 * items}):
        with per_sample_masks(model):
            losses.append(model(**batch, **more).loss.item())
    assert losses[0] == pytest.approx(4 * losses[1], rel=1e-5)


def test_the_pass_of_the_full_model_leaves_the_training_passes_alone():
    """The same random numbers, running statistics and modes as under the KL, and one forward more."""
    results = []
    for penalty in ("kl", "full_kl"):
        torch.manual_seed(0)
        model = Counted()
        model.body.append(nn.BatchNorm1d(3))
        x, y = own_batch()
        attach(model, alpha=1.0, penalty=penalty)
        logits = model(x, y)["logits"]
        results.append((logits.detach(), model.body[3].running_var, torch.get_rng_state(), model.training))
        assert model.forwards == (2 if penalty == "full_kl" else 1)
    torch.testing.assert_close(*results, rtol=0, atol=0)


def test_plain_steps_have_no_penalty():
    model, (x, y) = Counted(), own_batch()
    handle = attach(model, alpha=100.0, every=2, penalty="full_kl")
    model(x, y)
    output = model(x, y)
    assert model.forwards == 3  # two of the first step
    assert handle.kl is None
    assert output["loss"].item() == pytest.approx(2 * nn.functional.cross_entropy(output["logits"], y).item(), rel=1e-6)


def test_where_a_penalty_cannot_be_had(caplog):
    regression = BY_NAME["BERT regression"]
    model = regression.model()
    attach(model, alpha=1.0, penalty="logit_mse")
    with pytest.raises(UnsupportedError, match="a regression has no logits over classes"):
        model(**regression.batch(3))
    with pytest.raises(InputError, match=r"twin_fraction=0\.5 does not go with penalty='full_kl'"):
        attach(Counted(), alpha=1.0, penalty="full_kl", twin_fraction=0.5)
    with pytest.raises(UnsupportedError, match="fused_head=True cannot be had: penalty='full_kl' takes the logits"):
        attach(CAUSAL.model(), alpha=1.0, penalty="full_kl", fused_head=True)
    with caplog.at_level(logging.DEBUG, logger="regdrop"):
        model = CAUSAL.model()
        attach(model, alpha=1.0, penalty="logit_mse")
    assert "computed from the logits: penalty='logit_mse' takes the logits themselves" in caplog.text
    assert model(**CAUSAL.batch(2)).logits is not None
