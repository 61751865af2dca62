"""A language model whose output layer runs together with the loss: the same loss and gradients, without the logits."""

import copy
import functools
import logging

import pytest
import torch
import transformers as hf
from torch.distributed import HashStore, destroy_process_group, init_process_group

from passes.masks import per_sample_masks
from passes.tiny import BY_NAME, GPT2, LLAMA, VOCAB
from regdrop import attach
from regdrop.errors import UnsupportedError
from regdrop.losses.chunked import chunked_r_drop_loss
from watcher import Watcher

NAMES = ["GPT-2 causal LM", "Llama causal LM", "T5 seq2seq", "BART seq2seq", "Marian seq2seq"]
CASES = [BY_NAME[name] for name in NAMES]
OPTIONS = [
    {},
    {"passes": 3, "label_smoothing": 0.1},
    {"mode": "sequential", "passes": 3},
    {"mode": "replay"},
    {"twin_fraction": 0.5},
]
LM, BART = BY_NAME["Llama causal LM"], BY_NAME["BART seq2seq"]


def step(model, batch, fused_head, **options):
    """Loss, divergence and gradients of one training step under the same dropout masks."""
    model = copy.deepcopy(model)
    torch.manual_seed(0)  # of the rows that have a twin
    handle = attach(model, alpha=1.3, fused_head=fused_head, **options)
    with per_sample_masks(model, forwards=1 if handle.options.mode == "concat" else handle.options.passes):
        output = model(**batch)
        output.loss.backward()
    return output, handle.kl, {name: part.grad for name, part in model.named_parameters() if part.grad is not None}


def assert_same_step(model, batch, fused_head=True, **options):
    output, kl, gradients = step(model, batch, fused_head, **options)
    plain_output, plain_kl, plain_gradients = step(model, batch, False, **options)
    torch.testing.assert_close((output.loss, kl), (plain_output.loss, plain_kl))
    assert gradients.keys() == plain_gradients.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, plain_gradients[name], rtol=1e-4, atol=1e-6)
    return output, plain_output


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_equals_the_loss_of_the_logits(case, options):
    output, plain = assert_same_step(case.model(), case.batch(5), **options)
    assert output.logits is None
    assert plain.logits.shape[0] == 5


def test_plain_steps_between_and_a_global_count():
    model, batch = LM.model(), LM.batch(4) | {"num_items_in_batch": torch.tensor(100)}
    losses = []
    for fused_head in (True, False):
        attached = copy.deepcopy(model)
        handle = attach(attached, alpha=1.0, every=2, fused_head=fused_head)
        with per_sample_masks(attached):
            losses.append([attached(**batch).loss for _ in range(3)])
        assert handle.kl is not None
    torch.testing.assert_close(losses[0], losses[1])


def test_a_bias_behind_the_layer_is_added():
    model = BART.model()
    model.final_logits_bias.normal_(generator=torch.Generator().manual_seed(3))
    assert_same_step(model, BART.batch(4))


class OwnLoss(torch.nn.Module):
    """An output layer that caps its scores and computes their loss by itself, a chunk at a time."""

    def __init__(self, linear):
        super().__init__()
        self.linear = linear

    def forward(self, hidden):
        return self.linear(hidden).tanh()

    def r_drop_loss(self, hidden, target, **arguments):
        return chunked_r_drop_loss(hidden, self, target, **arguments)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_layer_that_brings_its_loss(options):
    model = LM.model()
    model.lm_head = OwnLoss(model.lm_head)
    output, _ = assert_same_step(model, LM.batch(5), **options)
    assert output.logits is None


def test_a_bias_behind_a_layer_that_brings_its_loss_is_not_forgotten():
    model = BART.model()
    model.lm_head = OwnLoss(model.lm_head)
    with pytest.raises(UnsupportedError, match="adds a bias behind"):
        attach(model, alpha=1.0, fused_head=True)


def test_a_frozen_layer_gets_no_gradient():
    model = LM.model()
    model.lm_head.weight.requires_grad_(False)
    assert_same_step(model, LM.batch(4))


def test_the_logits_never_exist():
    model = hf.LlamaForCausalLM(hf.LlamaConfig(**LLAMA | {"vocab_size": 4000})).train()
    batch = LM.samples(1)[0]["input_ids"].repeat(64, 8)
    attach(model, alpha=1.0)
    with Watcher() as seen:
        model(input_ids=batch, labels=batch).loss.backward()
    assert seen.most_bytes <= 0.15 * (2 * batch.numel() * 4000 * 4)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_model_stays_whole(case):
    model, batch = case.model(), case.batch(4)
    expected = copy.deepcopy(model).eval()(**batch)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    random = torch.get_rng_state()
    handle = attach(model, alpha=1.0)
    assert torch.equal(torch.get_rng_state(), random)
    assert [module.training for module in model.modules()] == modes
    assert model(**batch).logits is None
    assert "forward" not in vars(model.get_output_embeddings())
    torch.testing.assert_close(dict(model.state_dict()), state, rtol=0, atol=0)
    assert torch.equal(model.eval()(**batch).logits, expected.logits)
    handle.remove()
    assert model.train()(**batch).logits is not None


def test_a_forward_that_fails_leaves_the_model_whole():
    model, batch = BART.model(), BART.batch(4)
    bias = model.final_logits_bias
    attach(model, alpha=1.0)
    with pytest.raises(IndexError):
        model(**batch | {"input_ids": batch["input_ids"] + VOCAB})
    assert model.final_logits_bias is bias
    assert model.eval()(**batch).logits.shape[-1] == VOCAB


def interrupt(*_):
    raise KeyboardInterrupt


@pytest.mark.parametrize("removed", [False, True])
def test_an_interrupted_forward_leaves_the_next_one_whole(removed):
    """KeyboardInterrupt calls no forward hook."""
    model, batch = LM.model(), LM.batch(4)
    handle = attach(model, alpha=1.0)
    hook = model.model.layers[0].register_forward_pre_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        model(**batch)
    hook.remove()
    if removed:
        handle.remove()
    assert model.eval()(**batch).logits.shape[-1] == VOCAB


def test_a_pass_replayed_after_the_handle_is_gone_leaves_the_model_whole():
    model, batch = LM.model(), LM.batch(4)
    handle = attach(model, alpha=1.0, mode="replay")
    loss = model(**batch).loss
    handle.remove()
    loss.backward()
    assert model.eval()(**batch).logits.shape[-1] == VOCAB


def test_what_is_refused_aside_is_refused_again():
    model = LM.model()
    attach(model, alpha=1.0, fused_head=True, share_prefix="lm_head")
    for _ in range(2):
        with pytest.raises(UnsupportedError, match="share_prefix='lm_head' cannot be had"):
            model(**LM.batch(4))


def test_a_compiled_model_follows_every_change():
    model, batch = BART.model(), BART.batch(4)
    expected = copy.deepcopy(model).eval()(**batch).logits
    compiled = torch.compile(model, backend="eager")
    handle = attach(compiled, alpha=1.0)
    for _ in range(2):
        assert compiled.train()(**batch).logits is None
        torch.testing.assert_close(compiled.eval()(**batch).logits, expected)
    handle.remove()
    assert compiled.train()(**batch).logits.shape == expected.shape


def test_it_says_so_once(caplog):
    model, batch = LM.model(), LM.batch(4)
    with caplog.at_level(logging.INFO, logger="regdrop"):
        attach(model, alpha=1.0)
        for _ in range(3):
            model(**batch)
    assert len(caplog.records) == 1
    assert "output layer runs together with the loss" in caplog.text


# Where the layer cannot be left out: "auto" takes the logits, True refuses

AFTER_THE_LAYER = {
    "capped": (hf.Gemma2ForCausalLM, {"head_dim": 8, "final_logit_softcapping": 30.0}),
    "multiplied": (hf.CohereForCausalLM, {"logit_scale": 0.5}),
    "divided": (hf.GraniteForCausalLM, {"logits_scaling": 8.0}),
}


def check_refused(model, batch, pattern):
    with pytest.raises(UnsupportedError, match=rf"fused_head=True cannot be had: .*{pattern}"):
        attach(copy.deepcopy(model), alpha=1.0, fused_head=True)
    output, _ = assert_same_step(model, batch, fused_head="auto")
    assert output.logits is not None


@pytest.mark.parametrize("name", AFTER_THE_LAYER)
def test_logits_that_are_changed_after_the_layer(name):
    model_class, more = AFTER_THE_LAYER[name]
    config = model_class.config_class(**LLAMA | more)
    check_refused(model_class(config).train(), LM.batch(4), "changes the logits after its output layer")


def test_logits_that_are_cut_after_the_layer():
    class Cut(hf.LlamaForCausalLM):
        def forward(self, *args, **kwargs):
            output = super().forward(*args, **kwargs)
            output.logits = output.logits[..., :60]
            return output

    model = Cut(hf.LlamaConfig(**LLAMA)).train()
    with pytest.raises(UnsupportedError, match="changes the logits"):
        attach(model, alpha=1.0, fused_head=True, task="causal_lm")


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_a_layer_that_is_adapted():
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(r=2, lora_dropout=0.5, target_modules=["lm_head"])
    model = peft.get_peft_model(hf.LlamaForCausalLM(hf.LlamaConfig(**LLAMA)), config).train()
    with pytest.raises(UnsupportedError, match="not a plain Linear"):
        attach(model, alpha=1.0, fused_head=True)
    attach(model, alpha=1.0)
    assert model(**LM.batch(4)).logits is not None


def test_a_layer_with_hooks_of_others():
    model = LM.model()
    model.lm_head.register_forward_hook(lambda module, args, output: 2 * output)
    check_refused(model, LM.batch(4), "carries hooks")


def test_other_heads_and_models():
    model = BY_NAME["BERT sequence classification"].model()
    with pytest.raises(UnsupportedError, match="BertForSequenceClassification is not a language model"):
        attach(model, alpha=1.0, fused_head=True)


def test_a_model_that_computes_its_own_loss():
    model, batch = LM.model(), LM.batch(4)
    handle = attach(model, alpha=1.0, keep_labels=True)
    assert model(**batch).logits is not None
    handle.remove()
    attach(model, alpha=1.0, keep_labels=True, fused_head=True)
    with pytest.raises(UnsupportedError, match="loss of its own from labels"):
        model(**batch)


@pytest.mark.filterwarnings("ignore:FSDP2-wrapped module:UserWarning")
def test_a_sharded_weight():
    init_process_group("gloo", store=HashStore(), rank=0, world_size=1)
    try:
        from torch.distributed.fsdp import fully_shard

        model = fully_shard(hf.GPT2LMHeadModel(hf.GPT2Config(**GPT2))).train()
        with pytest.raises(UnsupportedError, match="sharded"):
            attach(model, alpha=1.0, fused_head=True)
        attach(model, alpha=1.0)
        later = hf.GPT2LMHeadModel(hf.GPT2Config(**GPT2)).train()
        attach(later, alpha=1.0)
        for sharded in (model, fully_shard(later)):
            output = sharded(**LM.batch(4))
            output.loss.backward()
            assert output.logits is not None
    finally:
        destroy_process_group()


# Precision


def test_the_layer_keeps_the_autocast_of_the_forward():
    """Trainers put autocast around the forward alone; the loss is computed after it."""
    model, batch = LM.model(), LM.batch(4)
    forward = model.forward

    @functools.wraps(forward)
    def in_half(*args, **kwargs):
        with torch.autocast("cpu", torch.bfloat16):
            return forward(*args, **kwargs)

    model.forward = in_half
    attach(model, alpha=1.0, fused_head=True)
    with Watcher() as seen:
        loss = model(**batch).loss
    assert seen.dtypes == {torch.bfloat16}
    assert loss.dtype == torch.float32


def test_a_half_precision_model():
    model = LM.model().to(torch.bfloat16)
    output, plain = (step(model, LM.batch(4), fused_head)[0] for fused_head in (True, False))
    assert output.loss.dtype == torch.float32
    assert output.loss.item() == pytest.approx(plain.loss.item(), rel=1e-3)
