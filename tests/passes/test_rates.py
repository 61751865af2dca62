"""Passes at different dropout rates: those of models built with these rates; afterwards nothing has changed."""

import copy

import pytest
import torch
from torch import nn

from passes.masks import per_sample_masks
from passes.own import Counted, own_batch
from passes.tiny import BY_NAME
from passes.two_pass import gradients, relative_error, run_pass, sums
from regdrop import attach, paired_forward
from regdrop.errors import InputError, NoNoiseError, UnsupportedError
from regdrop.passes.dropout import noise_sources
from regdrop.passes.rates import at_rate, dropping_units

NAMES = [
    "BERT token classification",
    "ModernBERT sequence class.",
    "GPT-2 causal LM",
    "Llama causal LM",
    "T5 seq2seq",
    "BART seq2seq",
    "ViT image classification",
]
RATES = (0.1, 0.4)


def rates_of(model):
    return [(source.name, source.rate) for source in noise_sources(model)]


def rebuilt(case, model, rate):
    """A model of the same weights whose config had this rate in the place of every other that is not 0."""
    knobs = {name: rate for name, value in case.config.items() if "drop" in name and value}
    knobs |= {name: rate for name, value in case.config.items() if name.endswith("pdrop") and value}
    other = case.model_class(case.config_class(**case.config | knobs)).double().train()
    other.load_state_dict(model.state_dict())
    return other


@pytest.mark.parametrize("name", NAMES)
def test_value_and_gradient_are_those_of_models_built_with_these_rates(name):
    case = BY_NAME[name]
    model, batch = case.model().double(), case.batch(5)
    batch = {name: part.double() if part.is_floating_point() else part for name, part in batch.items()}
    expected, outputs = [rebuilt(case, model, rate) for rate in RATES], []
    for which, other in enumerate(expected):
        outputs.append(run_pass(other, batch, which))
    loss, task, divergence, items = sums(case.kind, *outputs, batch, 2.0)
    (loss / items).backward()
    both = [gradients(other) for other in expected]
    found, before = copy.deepcopy(model), rates_of(model)
    handle = attach(found, alpha=2.0, pass_dropout=RATES)
    with per_sample_masks(found, forwards=2):
        output = found(**batch)
    output.loss.backward()
    torch.testing.assert_close(output.loss, (loss / items).detach(), check_dtype=False, rtol=1e-6, atol=1e-8)
    assert handle.kl.item() == pytest.approx((divergence / items).item(), rel=1e-5)
    assert handle.task_loss.item() == pytest.approx((task / items).item(), rel=1e-6)
    assert relative_error(gradients(found), {name: both[0][name] + both[1][name] for name in both[0]}) < 1e-6
    assert rates_of(found) == before


def test_at_the_models_own_rate_it_is_sequential():
    results = []
    for options in ({"mode": "sequential"}, {"pass_dropout": (0.5, 0.5)}):
        torch.manual_seed(0)
        model, (x, y) = Counted(), own_batch()
        attach(model, alpha=1.0, **options)
        loss = model(x, y)["loss"]
        loss.backward()
        results.append((loss.detach(), gradients(model)))
    torch.testing.assert_close(*results, rtol=0, atol=0)


class Parts(nn.Module):
    """Every kind of noise, and what rates they had in each forward."""

    def __init__(self):
        super().__init__()
        self.units, self.none, self.path = nn.Dropout(0.5), nn.Dropout(0.0), StochasticDepth()
        self.frozen = nn.Dropout(0.5).eval()
        self.attention_dropout, self.layerdrop = 0.2, 0.1
        self.seen, self.fails_in = [], None

    def forward(self, x):
        rates = (self.units.p, self.none.p, self.path.p, self.frozen.p, self.attention_dropout, self.layerdrop)
        self.seen.append(rates)
        if len(self.seen) == self.fails_in:
            raise KeyError
        return self.units(x)


class StochasticDepth(nn.Module):
    def __init__(self):
        super().__init__()
        self.p, self.mode = 0.3, "row"


def test_three_passes_and_what_stays_as_it_is():
    model = Parts()
    output = paired_forward(model, torch.ones(64, 32), passes=3, pass_dropout=(0.25, 0.75, 0.0))
    own = (0.0, 0.3, 0.5)
    assert model.seen == [(rate, *own, rate, 0.1) for rate in (0.25, 0.75, 0.0)]
    torch.testing.assert_close(output.amax((1, 2)), torch.tensor([4 / 3, 4.0, 1.0]))
    assert (model.units.p, model.attention_dropout) == (0.5, 0.2)


@pytest.mark.parametrize("fails_in", [1, 2])
def test_rates_come_back_after_an_error_in_any_pass(fails_in):
    model = Parts()
    model.fails_in, before = fails_in, rates_of(model)
    with pytest.raises(KeyError) as caught:
        paired_forward(model, torch.ones(4, 2), pass_dropout=RATES)
    assert caught.traceback  # still held, with all frames
    assert rates_of(model) == before


def test_rates_come_back_after_an_error_under_attach():
    model = Counted()
    attach(model, alpha=1.0, pass_dropout=RATES)
    with pytest.raises(RuntimeError, match="shapes"):
        model(torch.randn(4, 5), torch.zeros(4, dtype=torch.long))
    assert model.body[1].p == 0.5


def test_plain_steps_and_eval_have_the_models_own_rates():
    model, rates = Counted(), []
    model.body[1].register_forward_hook(lambda module, args, output: rates.append(module.p))
    attach(model, alpha=1.0, every=2, pass_dropout=RATES)
    for _ in range(3):
        model(*own_batch())
    model.eval()(*own_batch())
    assert rates == [0.1, 0.4, 0.5, 0.1, 0.4, 0.5]


def test_sources_of_one_layer_alone():
    model = nn.Sequential(nn.Dropout(0.1), nn.Dropout(0.2))
    first, second = dropping_units(model)
    with at_rate(model, [first], 0.0):
        assert rates_of(model) == [("0", 0.0), ("1", 0.2)]
        with at_rate(model, [second], 0.0):
            assert torch.equal(model(torch.ones(4)), torch.ones(4))
    assert rates_of(model) == [("0", 0.1), ("1", 0.2)]


def test_a_model_that_drops_no_units_is_refused():
    model = nn.Sequential(StochasticDepth())
    with pytest.raises(NoNoiseError, match="wherever Sequential drops units, but nothing in it does"):
        paired_forward(model, torch.ones(4, 2), pass_dropout=RATES)


def test_gradient_checkpointing_is_refused():
    case = BY_NAME["BERT sequence classification"]
    model = case.model()
    attach(model, alpha=1.0, pass_dropout=RATES)
    model.activation_checkpointing_enable()
    with pytest.raises(UnsupportedError, match=r"not go with gradient checkpointing, which bert\S* has on"):
        model(**case.batch(3))
    model.activation_checkpointing_disable()
    model(**case.batch(3)).loss.backward()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pass_dropout": (0.1, 1.0)}, r"pass_dropout=\(0.1, 1.0\): a dropout rate is at least 0 and less than 1"),
        ({"pass_dropout": (0.1, float("nan"))}, "a dropout rate is at least 0"),
        ({"pass_dropout": (0.0, 0.0)}, "one is more than 0"),
        ({"pass_dropout": (0.1, 0.2, 0.3)}, "has 3 rates, but passes=2; give one a pass"),
        ({"pass_dropout": RATES, "mode": "head"}, "one by one, but mode='head'; use mode='sequential'"),
        ({"pass_dropout": RATES, "mode": "replay"}, "one by one, but mode='replay'; use mode='sequential'"),
        ({"pass_dropout": RATES, "share_prefix": "auto"}, "share_prefix='auto' goes with .* mode='sequential'"),
        ({"pass_dropout": RATES, "twin_fraction": 0.5}, "twin_fraction=0.5; use 1"),
    ],
)
def test_refused_options(options, message):
    with pytest.raises(InputError, match=message):
        attach(Counted(), alpha=1.0, **options)
