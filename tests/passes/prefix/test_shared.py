"""The modes shared and head: gradients against the whole batch repeated, and what runs how often."""

import copy

import pytest
import torch
import transformers as hf
from torch import nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from passes.late import LATE, chain, keep_noise, late_vit
from passes.masks import per_sample_masks
from passes.own import Counted, own_batch
from passes.tiny import BASE, BY_NAME
from passes.two_pass import gradients, reference, relative_error
from regdrop import attach, paired_forward, r_drop_loss
from regdrop.errors import UnsupportedError

LLAMA = BY_NAME["Llama causal LM"]


def attached_gradients(model, batch, seed=3, **options):
    """Gradients and measures of one training step on a copy of the model."""
    model = copy.deepcopy(model)
    handle = attach(model, alpha=2.0, **options)
    torch.manual_seed(seed)
    output = model(**batch)
    output.loss.backward()
    return gradients(model), (output.loss.item(), handle.kl.item(), torch.rand(()).item())


def paired_gradients(model, x, y, seed=3, **options):
    """The same by hand."""
    model = copy.deepcopy(model)
    torch.manual_seed(seed)
    logits = paired_forward(model, x, **options)
    r_drop_loss(logits, y, alpha=2.0).loss.backward()
    return gradients(model), logits.detach()


def as_dtype(batch, dtype):
    return {name: value.to(dtype) if value.is_floating_point() else value for name, value in batch.items()}


@pytest.mark.parametrize(("dtype", "passes"), [(torch.float64, 2), (torch.float32, 3)])
@pytest.mark.parametrize("late", LATE, ids=lambda late: f"{late.name} {late.split}")
def test_gradients_of_transformers_are_those_of_concat(late, dtype, passes):
    model, batch = late.model().to(dtype), as_dtype(late.batch(5), dtype)
    options = {"passes": passes, "fused_head": False}
    expected, measured = attached_gradients(model, batch, **options)
    found, measured_too = attached_gradients(model, batch, share_prefix=True, **options)
    assert measured[1] > 0
    assert measured_too == pytest.approx(measured, rel=1e-6 if dtype == torch.float64 else 1e-4)
    assert relative_error(found, expected) < 1e-6


@pytest.mark.parametrize("passes", [2, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("build", "shape", "named"), [(late_vit, (3, 16, 16), "blocks.2"), (chain, (8,), "3")], ids=["ViT", "chain"]
)
def test_gradients_and_passes_are_those_of_concat(build, shape, named, dtype, passes):
    model, x, y = build(dtype), torch.randn(6, *shape, dtype=dtype), torch.randint(0, 3, (6,))
    expected, logits = paired_gradients(model, x, y, passes=passes)
    for options in ({"mode": "shared"}, {"share_prefix": True}, {"share_prefix": named}):
        found, logits_too = paired_gradients(model, x, y, passes=passes, **options)
        torch.testing.assert_close(logits_too, logits)
        assert relative_error(found, expected) < 1e-6


def test_masks_that_come_with_later_batches_are_repeated_too():
    late = next(late for late in LATE if late.name == "Llama causal LM")
    model = keep_noise(late.case.model_class(hf.LlamaConfig(**LLAMA.config | {"attn_implementation": "sdpa"})), "s.1.")
    full = {"input_ids": torch.randint(4, 60, (4, 7))}
    full |= {"labels": full["input_ids"], "attention_mask": torch.ones(4, 7, dtype=torch.long)}
    padded, losses = late.batch(4), {}
    for share in (False, True):
        twin = copy.deepcopy(model.train())
        attach(twin, alpha=1.0, share_prefix=share)
        torch.manual_seed(1)
        losses[share] = [twin(**batch).loss.item() for batch in (full, padded, full)]
    assert losses[True] == pytest.approx(losses[False], rel=1e-5)


def test_the_output_layer_stays_fused():
    late = next(late for late in LATE if late.name == "GPT-2 causal LM")
    expected, measured = attached_gradients(late.model(), late.batch(5), fused_head=True)
    found, measured_too = attached_gradients(late.model(), late.batch(5), fused_head=True, share_prefix=True)
    assert measured_too == pytest.approx(measured, rel=1e-4)
    assert relative_error(found, expected) < 1e-6


@pytest.mark.parametrize("trained", [False, True], ids=["B = 0", "B trained"])
# peft asks transformers for an attribute by its old name
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_lora_with_dropout_in_the_last_layer(trained):
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(
        r=2, lora_dropout=0.5, target_modules=["q_proj", "v_proj"], layers_to_transform=[1], init_lora_weights=True
    )
    model = peft.get_peft_model(hf.LlamaForCausalLM(hf.LlamaConfig(**BASE, num_key_value_heads=1)), config).train()
    for name, parameter in model.named_parameters():
        if trained and "lora_B" in name:
            nn.init.normal_(parameter)
    batch = LLAMA.batch(4)
    expected, _ = attached_gradients(model, batch)
    found, (_, kl, _) = attached_gradients(model, batch, share_prefix=True)
    assert (kl > 0) is trained
    assert relative_error(found, expected) < 1e-6


@pytest.mark.parametrize("late", [LATE[0], LATE[4], LATE[7], LATE[10]], ids=lambda late: late.name)
def test_value_and_gradient_equal_two_passes_by_hand_over_accumulated_micro_batches(late):
    model, batch = late.model(), late.batch(6)
    loss, _, divergence, expected = reference(model, late.case.kind, batch, alpha=2.0)
    handle, found = attach(model, alpha=2.0, share_prefix=True), 0.0
    with per_sample_masks(model, rows_of=2):
        for start in (0, 2, 4):
            micro = {name: value[start : start + 2] for name, value in batch.items()}
            output = model(**micro, num_items_in_batch=items_of(late, batch))
            output.loss.backward()
            found += output.loss.item()
    assert divergence > 1e-5
    assert found == pytest.approx(loss, rel=1e-5)
    assert handle.pop_metrics()["kl"] == pytest.approx(divergence, rel=1e-3)
    assert relative_error(gradients(model), expected) < 1e-5


def items_of(late, batch):
    """Valid items of a batch; a causal language model predicts no first token."""
    labels = batch["labels" if "labels" in batch else "start_positions"]
    return int((labels[:, 1:] if late.case.kind == "causal" else labels).ne(-100).sum())


def test_what_precedes_the_noise_is_computed_once():
    model, x = late_vit(depth=12), torch.randn(8, 3, 16, 16)
    seen = []
    for name in ("blocks.7", "blocks.8", "head"):
        module = model.get_submodule(name)
        module.register_forward_pre_hook(lambda module, args, name=name: seen.append((name, len(args[0]))))
    paired_forward(model, x, mode="shared")
    del seen[:]
    counts = {}
    for name, forward in {"plain": model, "shared": lambda x: paired_forward(model, x, mode="shared")}.items():
        with FlopCounterMode(display=False) as counter:
            forward(x)
        counts[name] = counter.get_total_flops()
    assert seen[3:] == [("blocks.7", 8), ("blocks.8", 16), ("head", 16)]
    assert counts["shared"] == pytest.approx((1 + 1 / 3) * counts["plain"], rel=0.01)


def test_a_frozen_backbone_keeps_no_activations():
    model, x = late_vit(), torch.randn(8, 3, 16, 16)
    keep_noise(model, "head_drop")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith("head."))
    paired_forward(model, x, mode="shared")
    saved = []
    with saved_tensors_hooks(lambda tensor: saved.append(tensor.numel()) or tensor, lambda tensor: tensor):
        paired_forward(model, x, mode="shared")
    assert 0 < sum(saved) <= 2 * 2 * 8 * 16 + 16 * 5  # the mask and the input of the head, for both passes; its weight


def test_batch_norm_before_the_noise_sees_each_row_once():
    model, x = chain(), torch.randn(8, 8)
    plain = copy.deepcopy(model)
    paired_forward(model, x, mode="shared")
    plain(x)
    assert model[1].num_batches_tracked == 1
    torch.testing.assert_close(model[1].running_var, plain[1].running_var)


def test_one_row_is_repeated_as_a_whole():
    model = chain()
    paired_forward(model, torch.randn(4, 8), mode="shared")
    assert paired_forward(model, torch.randn(1, 8), mode="shared").shape == (2, 1, 3)


def test_an_error_in_the_model_leaves_no_hooks_and_eval_is_untouched():
    model = Counted()
    attach(model, alpha=1.0, share_prefix=True)
    model(*own_batch())
    assert model.rows == 4
    with pytest.raises(RuntimeError, match="shapes"):
        model(torch.randn(4, 5), torch.zeros(4, dtype=torch.long))
    assert not any(module._forward_pre_hooks for module in model.body.modules())
    assert model.eval()(*own_batch())["logits"].shape == (4, 3)


class Chain(nn.Module):
    """The chain as a model that returns a loss."""

    def __init__(self):
        super().__init__()
        self.body = chain()

    def forward(self, x, labels=None):
        logits = self.body(x)
        return {"loss": None if labels is None else cross_entropy(logits, labels), "logits": logits}


# torch's compiler looks at the gradient of whatever enters a graph
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
@pytest.mark.parametrize("first", [0, 1], ids=["compiled parted", "compiled plain"])
def test_under_compile_parted_and_plain_steps_take_turns(first):
    model, (x, y) = Chain(), own_batch(6)
    twin = copy.deepcopy(model)
    compiled = torch.compile(model, backend="eager")
    handles = [attach(compiled, alpha=1.0, share_prefix="auto", every=2), attach(twin, alpha=1.0, every=2)]
    for step in range(first, 4):
        for handle, each in zip(handles, (compiled, twin), strict=True):
            each.zero_grad()
            handle.begin_step(step)
            torch.manual_seed(step)
            output = each(x, y)
            output["loss"].backward()
            assert output["logits"].shape == (6, 3)
            assert (handle.kl is None) is bool(step % 2)
        # A graph compiled without hooks has none later on: that step is the whole batch repeated, with other masks.
        assert relative_error(gradients(model), gradients(twin)) < (2 if first and step == 2 else 1e-6)
    torch.compiler.reset()


@pytest.mark.parametrize("reentrant", [False, True])
def test_gradient_checkpointing_of_transformers(reentrant):
    late = next(late for late in LATE if late.name == "BERT sequence classification")
    model, batch = late.model(), late.batch(4)
    expected, _ = attached_gradients(model, batch)
    model.activation_checkpointing_enable({"use_reentrant": reentrant})
    model.enable_input_require_grads()
    found, _ = attached_gradients(model, batch, share_prefix="auto")
    assert relative_error(found, expected) < 1e-6


def test_head_is_what_the_backbone_once_and_the_head_twice_give():
    model, x, y = chain(), torch.randn(6, 8), torch.randint(0, 3, (6,))
    for name in ("5", "8"):
        model.get_submodule(name).inplace = False
    found, logits = paired_gradients(model, x, y, mode="head")
    twin = copy.deepcopy(model)
    torch.manual_seed(3)
    hidden = twin[:8](x)
    expected = twin[8:](torch.cat([hidden, hidden])).view(2, 6, 3)
    task = sum(cross_entropy(each, y) for each in expected)
    p, q = expected.log_softmax(-1)
    divergence = 0.5 * ((p.exp() - q.exp()) * (p - q)).sum(-1).mean()
    (task + 2.0 * divergence).backward()
    assert divergence > 1e-3
    torch.testing.assert_close(logits, expected.detach())
    assert relative_error(found, gradients(twin)) < 1e-6


def test_head_with_noise_in_the_head_alone_is_exact():
    model, x, y = (
        keep_noise(late_vit(torch.float64), "head_drop"),
        torch.randn(6, 3, 16, 16).double(),
        torch.arange(6) % 3,
    )
    expected, _ = paired_gradients(model, x, y)
    found, _ = paired_gradients(model, x, y, mode="head")
    assert relative_error(found, expected) < 1e-6


def test_head_through_attach_runs_the_backbone_once():
    case = BY_NAME["BERT sequence classification"]
    model, rows = case.model(), []
    handle = attach(model, alpha=1.0, mode="head")
    model.bert.encoder.layer[1].register_forward_pre_hook(lambda module, args: rows.append(len(args[0])))
    model(**case.batch(5)).loss.backward()
    assert rows[-1] == 5
    assert handle.kl > 0


@pytest.mark.parametrize("name", ["GPT-2 causal LM", "Llama causal LM", "BERT masked LM"])
def test_a_model_without_noise_in_its_head_is_refused(name):
    case = BY_NAME[name]
    model = case.model()
    attach(model, alpha=1.0, mode="head")
    with pytest.raises(UnsupportedError, match=r"mode='head' needs noise behind .* put nn.Dropout before"):
        model(**case.batch(4))
