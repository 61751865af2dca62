"""attach on every head: value and gradient against two hand-written passes, and what must not change."""

import copy
import inspect

import pytest
import torch
import transformers as hf
from torch import nn

from passes.masks import per_sample_masks
from passes.tiny import BASE, BY_NAME, CASES, LLAMA, VOCAB
from passes.two_pass import gradients, reference, relative_error
from regdrop import attach
from regdrop.errors import InputError, NoNoiseError, UnsupportedError

BERT = BY_NAME["BERT sequence classification"]
CAUSAL = BY_NAME["Llama causal LM"]


class Counted(nn.Module):
    """A classifier of one's own that counts its forwards and returns what it is told to."""

    def __init__(self, form=lambda loss, logits: {"loss": loss, "logits": logits}):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 16), nn.Dropout(0.5), nn.Linear(16, 3))
        self.form, self.forwards, self.rows, self.saw_labels = form, 0, 0, None

    def forward(self, x, labels=None):
        self.forwards, self.rows, self.saw_labels = self.forwards + 1, len(x), labels is not None
        logits = self.body(x)
        return self.form(None if labels is None else nn.functional.cross_entropy(logits, labels), logits)


def own_batch(rows=4):
    return torch.randn(rows, 8), torch.randint(0, 3, (rows,))


@pytest.mark.parametrize("mode", ["concat", "sequential"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_value_and_gradient_equal_two_passes_by_hand(case, mode):
    model, batch = case.model(), case.batch(5)
    loss, task, divergence, expected = reference(model, case.kind, batch, alpha=2.0)
    handle = attach(model, alpha=2.0, mode=mode)
    with per_sample_masks(model, sequential=mode == "sequential"):
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


def test_a_copied_model_carries_its_own_handle():
    model = Counted()
    handle = attach(model, alpha=1.0)
    twin = copy.deepcopy(model)
    twin(*own_batch())
    assert handle.pop_metrics() == {}
    with pytest.raises(InputError, match="already"):
        attach(twin, alpha=1.0)


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


def test_dropout_left_in_eval_mode_is_refused_at_the_first_training_forward():
    model = Counted().eval()
    attach(model, alpha=1.0)
    model.train()
    model.body[1].eval()
    with pytest.raises(NoNoiseError, match=r"dropout p=0.5 \(eval mode\).*Call model.train\(\)"):
        model(*own_batch())


def test_an_unknown_head_is_refused_with_what_to_pass():
    with pytest.raises(UnsupportedError, match="BertForPreTraining has no head .* task=") as refusal:
        attach(hf.BertForPreTraining(hf.BertConfig(**BASE)), alpha=1.0)
    assert "classification, regression, multilabel, causal_lm" in str(refusal.value)


def test_data_parallel_is_refused():
    with pytest.raises(UnsupportedError, match="torchrun"):
        attach(nn.DataParallel(Counted()), alpha=1.0)


def test_a_training_forward_without_labels_is_refused_only_where_gradients_are_wanted():
    model = CAUSAL.model()
    attach(model, alpha=1.0)
    ids = torch.tensor([[4, 30, 31]])
    with pytest.raises(UnsupportedError, match=r"got no labels \(keywords: input_ids\)"):
        model(input_ids=ids)
    with torch.no_grad():
        assert model(input_ids=ids).loss is None


def test_alpha_may_change():
    model, batch = BERT.model(), BERT.batch(4)
    handle = attach(model, alpha=0.0)
    with per_sample_masks(model):
        plain = model(**batch).loss
        handle.alpha = 3.0
        assert model(**batch).loss.item() == pytest.approx(plain.item() + 3 * handle.kl.item(), rel=1e-5)


def test_more_passes():
    model = Counted()
    handle = attach(model, alpha=1.0, passes=3)
    output = model(*own_batch())
    assert model.rows == 12
    assert output["logits"].shape == (4, 3)
    assert handle.task_loss > 2.0  # three cross-entropies of about 1.1


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


def test_decoders_do_not_fill_a_cache_unless_asked():
    model, batch = CAUSAL.model(), CAUSAL.batch(2)
    attach(model, alpha=1.0)
    assert model(**batch).past_key_values is None
    assert model(**batch, use_cache=True).past_key_values is not None


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


def test_every_kth_step_only_and_plain_steps_on_the_same_scale():
    model = Counted()
    handle = attach(model, alpha=1.0, every=3)
    x, y = own_batch()
    rows, kls, losses = [], [], []
    for _ in range(6):
        losses.append(model(x, y)["loss"].item())
        rows.append(model.rows)
        kls.append(handle.kl)
    assert rows == [8, 4, 4, 8, 4, 4]
    assert [kl is None for kl in kls] == [False, True, True, False, True, True]
    assert handle.pop_metrics()["kl"] == pytest.approx((kls[0] + kls[3]).item() / 2, rel=1e-6)
    model.body[1].p = 0.0
    model(x, y)
    expected = 2 * nn.functional.cross_entropy(model.body(x), y)
    assert model(x, y)["loss"].item() == pytest.approx(expected.item(), rel=1e-6)
    assert model.rows == 4


def test_every_counts_optimizer_steps_where_it_is_told_them():
    model = Counted()
    handle = attach(model, alpha=1.0, every=2)
    rows = []
    for step in range(3):
        handle.begin_step(step)
        for _ in range(2):
            model(*own_batch())
            rows.append(model.rows)
    assert rows == [8, 8, 4, 4, 8, 8]


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


def test_an_exception_in_the_model_leaves_nothing_behind():
    model = Counted()
    attach(model, alpha=1.0)
    with pytest.raises(RuntimeError, match="shapes"):
        model(torch.randn(4, 5), torch.zeros(4, dtype=torch.long))
    x, y = own_batch()
    assert model.eval()(x, y)["logits"].shape == (4, 3)
