"""The noise detector: what it finds, whether it acts, and what it says when nothing does."""

import pytest
import timm
import torch
import torchvision
import transformers as hf
from torch import nn

from passes.tiny import BASE, BY_NAME, CASES
from regdrop.errors import NoNoiseError
from regdrop.passes.dropout import noise_sources, require_noise


class Functional(nn.Module):
    """Rates stored as numbers, as transformers models do."""

    def __init__(self, **rates):
        super().__init__()
        vars(self).update(rates)


def found(model):
    return [(source.attribute, source.kind, source.rate, source.idle) for source in noise_sources(model)]


@pytest.mark.parametrize(
    "module",
    [nn.Dropout(0.2), nn.Dropout1d(0.2), nn.Dropout2d(0.2), nn.AlphaDropout(0.2), nn.FeatureAlphaDropout(0.2)],
    ids=lambda module: type(module).__name__,
)
def test_dropout_modules(module):
    assert found(module) == [("p", "dropout", 0.2, None)]
    assert found(module.eval()) == [("p", "dropout", 0.2, "eval mode")]
    module.train().p = 0.0
    assert found(module) == [("p", "dropout", 0.0, "p = 0")]


def test_functional_dropout_is_read_off_the_names_of_numbers():
    model = Functional(attention_dropout=0.1, dropout=0, hidden_drop=1.5, drop_last=True, width=0.5)
    assert found(model) == [
        ("attention_dropout", "functional dropout", 0.1, None),
        ("dropout", "functional dropout", 0.0, "p = 0"),
    ]


def test_a_module_named_after_its_dropout_may_hold_it_under_another_name():
    class ConvDropoutNorm(Functional):
        pass

    assert found(ConvDropoutNorm(hidden_dropout=0.1)) == [("hidden_dropout", "functional dropout", 0.1, None)]


def test_layer_drop_is_one_draw_for_the_batch():
    model = Functional(layerdrop=0.1)
    (source,) = noise_sources(model)
    assert (source.kind, source.per_row, source.active) == ("layer drop", False, True)
    require_noise(model)
    with pytest.raises(NoNoiseError, match=r"layerdrop=0.1 \(one draw for the whole batch\).*mode='sequential'"):
        require_noise(model, per_row=True)


def test_attention_and_recurrent_layers():
    assert ("dropout", "functional dropout", 0.1, None) in found(nn.MultiheadAttention(4, 1, dropout=0.1))
    assert found(nn.LSTM(2, 2, num_layers=2, dropout=0.3)) == [("dropout", "functional dropout", 0.3, None)]
    with pytest.warns(UserWarning, match="num_layers"):
        single = nn.LSTM(2, 2, num_layers=1, dropout=0.3)
    assert found(single) == [("dropout", "functional dropout", 0.3, "acts only between layers, num_layers = 1")]


def test_drop_path_of_three_libraries():
    vit = timm.create_model("vit_tiny_patch16_224", img_size=32, depth=2, drop_path_rate=0.2)
    assert ("drop_prob", "drop path", 0.2, None) in [(a, k, round(r, 3), i) for a, k, r, i in found(vit)]
    assert found(torchvision.ops.StochasticDepth(0.2, "row")) == [("p", "drop path", 0.2, None)]
    assert not noise_sources(torchvision.ops.StochasticDepth(0.2, "batch"))[0].per_row
    beit = hf.BeitModel(hf.BeitConfig(hidden_size=8, num_hidden_layers=2, num_attention_heads=1, drop_path_rate=0.2))
    assert ("drop_prob", "drop path", 0.2, "eval mode") in [(a, k, round(r, 3), i) for a, k, r, i in found(beit.eval())]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_noise_is_found_exactly_where_two_forwards_differ(case):
    model, batch = case.model(), case.batch(2)
    inputs = {
        name: value for name, value in batch.items() if name not in ("labels", "start_positions", "end_positions")
    }
    if case.kind == "seq2seq":
        inputs["decoder_input_ids"] = torch.full((2, 3), 5)

    def differs():
        first, second = (model(**inputs).to_tuple()[0] for _ in range(2))
        return not torch.equal(first, second)

    assert differs()
    require_noise(model)
    model.eval()
    assert not differs()
    with pytest.raises(NoNoiseError, match=r"eval mode.*Call model.train\(\); from_pretrained returns a model in eval"):
        require_noise(model)
    require_noise(model, in_train_mode=True)


def test_the_remedy_names_the_knobs_of_this_very_model():
    llama = hf.LlamaForCausalLM(hf.LlamaConfig(**BASE, num_key_value_heads=1))
    with pytest.raises(
        NoNoiseError, match=r"2 x functional dropout attention_dropout=0, first in 'model.layers.0.self"
    ):
        require_noise(llama)
    with pytest.raises(NoNoiseError, match=r"attention_dropout, e.g. from_pretrained\(..., attention_dropout=0.1\)"):
        require_noise(llama)
    vit = timm.create_model("vit_tiny_patch16_224", img_size=32, depth=1)
    with pytest.raises(NoNoiseError, match="drop_rate, pos_drop_rate, patch_drop_rate, proj_drop_rate, attn_drop_rate"):
        require_noise(vit)
    with pytest.raises(
        NoNoiseError, match=r"Linear .* found no dropout of any kind. Add dropout, e.g. nn.Dropout\(0.1"
    ):
        require_noise(nn.Linear(2, 2))


# peft asks transformers for an attribute by its old name
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_lora_dropout_is_named():
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(r=2, lora_dropout=0.1, target_modules=["q_proj"])
    model = peft.get_peft_model(BY_NAME["Llama causal LM"].model(), config)
    assert {"LoRA dropout", "functional dropout"} == {source.kind for source in noise_sources(model)}
