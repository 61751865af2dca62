"""The whole diagnosis: equal to a slow reference, exact under batching, for every kind of model, leaving no trace."""

import copy
from dataclasses import asdict
from itertools import pairwise

import pytest
import timm
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from diagnostics import slow
from diagnostics.nets import SampleNet, labelled, mlp, samples
from passes.tiny import CASES
from reference import kl
from regdrop import attach
from regdrop.diagnostics.diagnose import diagnose
from regdrop.errors import InputError, NonFiniteError, UnsupportedError

WITHOUT_REGRESSION = [case for case in CASES if case.kind != "regression"]


@pytest.fixture(scope="module")
def tokens():
    """A padded batch of 4 sequences of 6 tokens."""
    x, y = samples(4, 6), slow.classes(24, 5).view(4, 6)
    y[1, 4:], y[3, 2:] = -100, -100
    return x, y


def numbers(found):
    """All numbers of a diagnosis by path, without the words; -1 for what an empty bin has not."""
    flat, stack = {}, [("", asdict(found))]
    while stack:
        path, value = stack.pop()
        if isinstance(value, dict | list | tuple):
            pairs = value.items() if isinstance(value, dict) else enumerate(value)
            stack += [(f"{path}/{key}", part) for key, part in pairs]
        elif not isinstance(value, str):
            flat[path] = -1 if value is None else value
    return flat


def by_hand(net, x, y, passes):
    """Forwards in the order of the diagnosis: full model, sub-models, then two draws for each layer on its own."""
    valid = y != -100
    full = net.eval()(x)[valid]
    net.train()
    sub = torch.stack([net(x)[valid] for _ in range(passes)])
    alone = {}
    for name, other in (("early", net.late), ("late", net.early)):
        rate, other.p = other.p, 0.0
        alone[name] = [net(x)[valid] for _ in range(2)]
        other.p = rate
    return full, sub, alone, y[valid]


def test_every_number_equals_the_slow_reference(tokens):
    with torch.no_grad():
        full, sub, alone, target = by_hand(SampleNet(), *tokens, passes=4)
    found = diagnose(SampleNet(), [tokens], passes=4, bins=7)
    assert asdict(found.consistency) == pytest.approx(slow.consistency(sub, full, target), rel=1e-9)
    ece, table = slow.reliability(full, target, 7)
    assert found.calibration.ece == pytest.approx(ece)
    assert [part.items for part in found.calibration.bins] == [row[0] for row in table]
    for layer in found.layers:
        a, b = alone[layer.layer]
        expected = slow.mean(0.5 * (kl(p, q) + kl(q, p)) for p, q in zip(a, b, strict=True))
        assert layer.kl == pytest.approx(expected, rel=1e-6)
    assert (found.items, found.classes, found.passes, found.sources) == (18, 5, 4, 2)
    assert sum(layer.share for layer in found.layers) == pytest.approx(1)


@pytest.mark.parametrize("sizes", [(1, 3), (2, 1, 1), (1, 1, 1, 1)])
def test_the_split_into_batches_changes_nothing(tokens, sizes):
    whole = diagnose(SampleNet(), [tokens], passes=3)
    parts = diagnose(SampleNet(), zip(*(tensor.split(sizes) for tensor in tokens), strict=True), passes=3)
    assert numbers(parts) == pytest.approx(numbers(whole), rel=1e-9)


@pytest.mark.parametrize("marker", [-100, 99])
def test_padding_changes_nothing(tokens, marker):
    x, y = tokens
    padded_x = torch.cat([x, torch.full((4, 3, 5), 1e3, dtype=x.dtype)], 1)
    padded_y = torch.cat([y, torch.full((4, 3), marker)], 1)
    padded = diagnose(SampleNet(), [(padded_x, padded_y)], passes=3, ignore_index=marker)
    assert numbers(padded) == pytest.approx(numbers(diagnose(SampleNet(), [tokens], passes=3)), rel=1e-9)


def test_a_batch_of_padding_alone_changes_nothing(tokens):
    nothing = (tokens[0], torch.full_like(tokens[1], -100))
    more = diagnose(SampleNet(), [nothing, tokens], passes=3)
    assert numbers(more) == pytest.approx(numbers(diagnose(SampleNet(), [tokens], passes=3)), rel=1e-9)


def test_the_seed_alone_decides():
    model, batches = mlp(0.3), [labelled()]
    first = diagnose(model, batches, seed=1)
    torch.rand(5)
    assert diagnose(model, batches, seed=1) == first
    assert diagnose(model, batches, seed=2).consistency != first.consistency


@pytest.mark.parametrize("case", WITHOUT_REGRESSION, ids=lambda case: case.name)
def test_transformers_heads_are_read_as_they_read_themselves(case):
    """The loss that a transformers model computes in eval mode is the NLL of our full model on one full batch."""
    model, batch = case.model().eval(), case.batch(5)
    with torch.no_grad():
        expected = model(**batch).loss
    found = diagnose(model, [batch], passes=2)
    assert found.consistency.full_nll == pytest.approx(float(expected), rel=1e-5)
    assert found.consistency.pairwise_kl > 0
    assert found.active_sources > 0
    assert all(layer.kl > 0 for layer in found.layers)


def test_a_regression_head_is_refused():
    case = next(case for case in CASES if case.kind == "regression")
    with pytest.raises(UnsupportedError, match="BertForSequenceClassification predicts numbers"):
        diagnose(case.model(), [case.batch(3)])


def test_timm_models_with_drop_path():
    torch.manual_seed(0)
    model = timm.create_model(
        "vit_tiny_patch16_224", img_size=32, num_classes=4, depth=3, drop_path_rate=0.4, attn_drop_rate=0.2
    )
    found = diagnose(model, [(torch.randn(8, 3, 32, 32), slow.classes(8, 4))], passes=2)
    assert {layer.layer for layer in found.layers} == {"blocks.0", "blocks.1", "blocks.2"}
    assert all(layer.kl > 0 for layer in found.layers)


class Wrapped(nn.Module):
    """The same network behind another kind of output."""

    def __init__(self, net, wrap):
        super().__init__()
        self.net, self.wrap = net, wrap

    def forward(self, x):
        return self.wrap(self.net(x))


@pytest.mark.parametrize("wrap", [lambda z: (z, None), lambda z: {"logits": z}, lambda z: (z.mean(), z)])
def test_outputs_of_every_kind(wrap):
    bare, wrapped = (diagnose(model, [labelled()]) for model in (mlp(0.3), Wrapped(mlp(0.3), wrap)))
    assert wrapped.consistency == bare.consistency


def test_a_model_with_r_drop_attached_is_measured_as_one_without():
    case = WITHOUT_REGRESSION[0]
    plain, attached = case.model(), case.model()
    handle = attach(attached, alpha=1.0)
    assert diagnose(attached, [case.batch(4)]) == diagnose(plain, [case.batch(4)])
    assert handle.pop_metrics() == {}


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_as_it_was(training):
    model = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Dropout(0.4), nn.Linear(8, 3)).train(training)
    model(labelled()[0]).sum().backward()
    before, state = copy.deepcopy(model), torch.get_rng_state()
    gradients = [parameter.grad.clone() for parameter in model.parameters()]
    diagnose(model, [labelled()])
    assert torch.equal(torch.get_rng_state(), state)
    for ours, theirs in zip(model.modules(), before.modules(), strict=True):
        assert ours.training == theirs.training
    assert model[2].p == 0.4
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before.state_dict()[name])
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        assert torch.equal(parameter.grad, gradient)
        assert parameter.requires_grad


def test_batch_norm_is_no_noise():
    model = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))
    found = diagnose(model.train(), [labelled()])
    assert found.consistency.sub_to_full_kl == 0
    assert found.verdict.kind == "no noise"


@pytest.mark.parametrize("mode", [True, False])
def test_no_dropout_is_a_verdict_with_the_way_to_switch_it_on(mode):
    found = diagnose(mlp(0.0, 0.0).train(mode), [labelled()])
    assert (found.verdict.kind, found.active_sources, found.sources, found.layers) == ("no noise", 0, 2, ())
    assert "2 x dropout p=0" in found.verdict.text
    assert "model.train()" in found.verdict.text
    gaps = asdict(found.consistency)
    gaps = {name: gaps[name] for name in ("pairwise_kl", "total_variation", "sub_to_full_kl", "loss_gap", "jensen_gap")}
    assert gaps == pytest.approx(dict.fromkeys(gaps, 0.0), abs=1e-14)


def test_a_head_of_zeros_hides_the_noise():
    model = mlp(0.5)
    nn.init.zeros_(model[-1].weight)
    assert diagnose(model, [labelled()]).verdict.kind == "hidden noise"


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # PEFT's use of it
def test_lora_hides_its_noise_until_its_second_matrix_leaves_zero():
    case = WITHOUT_REGRESSION[0]
    none = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    quiet = case.model_class(case.config_class(**case.config | none))
    model = get_peft_model(quiet, LoraConfig(r=2, lora_dropout=0.5, target_modules=["query", "value"]))
    assert diagnose(model, [case.batch(4)]).verdict.kind == "hidden noise"
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter)
    found = diagnose(model, [case.batch(4)])
    assert found.consistency.pairwise_kl > 0
    assert {layer.layer.rpartition(".")[0] for layer in found.layers} == {"base_model.model.bert.encoder.layer"}


class HandMade(nn.Module):
    def forward(self, hidden):
        return hidden + torch.randn_like(hidden) if self.training else hidden


def test_noise_of_a_kind_nobody_knows_is_measured_too():
    found = diagnose(nn.Sequential(nn.Linear(8, 3), HandMade()), [labelled()])
    assert found.consistency.pairwise_kl > 0.1
    assert (found.verdict.kind, found.sources, found.layers) == ("worthwhile", 0, ())


def test_the_layer_with_dropout_gets_all_of_it():
    (layer,) = diagnose(mlp(0.0, 0.5, 0.0), [labelled()]).layers
    assert (layer.layer, layer.share, layer.rates) == ("5", 1.0, (0.5,))


def test_more_dropout_disagrees_more():
    kls = [diagnose(mlp(rate), [labelled(256)]).consistency.pairwise_kl for rate in (0.05, 0.2, 0.5)]
    assert all(low < high for low, high in pairwise(kls))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"passes": 1}, "passes=1"), ({"bins": 0}, "bins=0"), ({"task": "nothing"}, "unknown task 'nothing'")],
)
def test_arguments_out_of_range(options, message):
    with pytest.raises(InputError, match=message):
        diagnose(mlp(0.1), [labelled()], **options)


@pytest.mark.parametrize("batches", [[], [(torch.zeros(2, 8), torch.tensor([-100, -100]))]])
def test_no_valid_item(batches):
    with pytest.raises(InputError, match="no valid item"):
        diagnose(mlp(0.1), batches)


def test_a_broken_model_is_named_and_left_as_it_was():
    model = mlp(0.1).eval()
    nn.init.constant_(model[-1].bias, torch.nan)
    with pytest.raises(NonFiniteError, match="NaN or infinite logits"):
        diagnose(model, [labelled()])
    assert not any(module.training for module in model.modules())
