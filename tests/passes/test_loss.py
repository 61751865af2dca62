"""What the loss of a forward is made of beside the logits: router losses and class options."""

import pytest
import torch
import transformers as hf
from torch import nn

from passes.masks import per_sample_masks
from passes.tiny import BY_NAME, LLAMA, VOCAB
from regdrop import attach

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
