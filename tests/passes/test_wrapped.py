"""attach on models that other libraries have wrapped or changed."""

import pytest
import torch
import transformers as hf
from torch import nn

from passes.masks import per_sample_masks
from passes.own import Counted
from passes.tiny import BASE, BY_NAME, VOCAB
from passes.two_pass import gradients, reference, relative_error
from regdrop import attach
from regdrop.errors import UnsupportedError

BERT = BY_NAME["BERT sequence classification"]
CAUSAL = BY_NAME["Llama causal LM"]


# peft asks transformers for an attribute by its old name
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_lora_is_found_by_its_modules_though_its_first_divergence_is_zero():
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(task_type="CAUSAL_LM", r=2, lora_dropout=0.5, target_modules=["q_proj", "v_proj"])
    model = peft.get_peft_model(hf.LlamaForCausalLM(hf.LlamaConfig(**BASE, num_key_value_heads=1)), config).train()
    handle = attach(model, alpha=1.0, fused_head=False)
    batch = CAUSAL.batch(4)
    model(**batch).loss.backward()
    assert handle.kl == 0
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter)
    output = model(**batch)
    assert handle.kl > 0
    assert output.logits.shape == (4, batch["input_ids"].shape[1], VOCAB)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_lora_on_an_encoder_equals_two_passes_by_hand():
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(task_type="SEQ_CLS", r=2, lora_dropout=0.3, init_lora_weights=False)
    model, batch = peft.get_peft_model(BERT.model(), config).train(), BERT.batch(5)
    loss, _, _, expected = reference(model, "single_label", batch, alpha=1.0)
    attach(model, alpha=1.0)
    with per_sample_masks(model):
        output = model(**batch)
    output.loss.backward()
    assert output.loss.item() == pytest.approx(loss, rel=1e-5)
    assert relative_error(gradients(model), expected) < 1e-5


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("name", ["BERT sequence classification", "Llama causal LM", "T5 seq2seq"])
def test_gradient_checkpointing(name, reentrant):
    case = BY_NAME[name]
    model, batch = case.model(), case.batch(4)
    _, _, _, expected = reference(model, case.kind, batch, alpha=1.0)
    model.activation_checkpointing_enable({"use_reentrant": reentrant})
    model.enable_input_require_grads()
    attach(model, alpha=1.0)
    with per_sample_masks(model):
        model(**batch).loss.backward()
    assert relative_error(gradients(model), expected) < 1e-5


def test_autocast_computes_the_loss_in_float32():
    model, batch = BERT.model(), BERT.batch(4)
    loss, _, _, _ = reference(model, "single_label", batch, alpha=1.0)
    attach(model, alpha=1.0)
    with per_sample_masks(model), torch.autocast("cpu", torch.bfloat16):
        output = model(**batch)
    assert output.logits.dtype == torch.bfloat16
    assert output.loss.dtype == torch.float32
    assert output.loss.item() == pytest.approx(loss, rel=2e-2)


@pytest.mark.parametrize("compiled_first", [False, True])
def test_torch_compile(compiled_first):
    model, batch = BERT.model(), BERT.batch(4)
    loss, _, _, expected = reference(model, "single_label", batch, alpha=1.0)
    if not compiled_first:
        attach(model, alpha=1.0)
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(model, backend=backend)
    if compiled_first:
        attach(compiled, alpha=1.0)
    with per_sample_masks(model):
        output = compiled(**batch)
        output.loss.backward()
    torch.compiler.reset()
    assert graphs
    assert output.loss.item() == pytest.approx(loss, rel=1e-5)
    assert relative_error(gradients(model), expected) < 1e-5


def test_data_parallel_is_refused():
    with pytest.raises(UnsupportedError, match="torchrun"):
        attach(nn.DataParallel(Counted()), alpha=1.0)


def test_a_compiled_language_model_trains_and_evaluates_in_turn():
    model, batch = CAUSAL.model(), CAUSAL.batch(3)
    _, _, _, expected = reference(model, "causal", batch, alpha=1.0)
    with torch.no_grad():
        logits = model.eval()(**batch).logits
    compiled = torch.compile(model.train(), backend="eager")
    attach(compiled, alpha=1.0)
    with per_sample_masks(model):
        for _ in range(2):
            compiled.train()
            model.zero_grad()
            compiled(**batch).loss.backward()
            assert relative_error(gradients(model), expected) < 1e-5
            compiled.eval()
            with torch.no_grad():
                torch.testing.assert_close(compiled(**batch).logits, logits)
    torch.compiler.reset()
