"""Into a model goes a whole checkpoint or nothing of it."""

import pytest
import torch
from torch import nn

from regdrop.checkpoints.model import load_into
from regdrop.checkpoints.surgery import resize_positions, with_image_size
from regdrop.errors import CheckpointError
from vit_reference import image


class Wrapped(nn.Module):
    """A ViT under a prefix, beside something else."""

    def __init__(self, vit):
        super().__init__()
        self.vit = vit
        self.scale = nn.Linear(2, 2)


def snapshot(model):
    return {key: weight.clone() for key, weight in model.state_dict().items()}


def unchanged(model, before):
    return all(torch.equal(weight, before[key]) for key, weight in model.state_dict().items())


@pytest.mark.parametrize("wrap", [nn.Identity, Wrapped, lambda vit: Wrapped(Wrapped(vit))])
def test_a_model_computes_what_the_checkpoint_does(state, build, logits, wrap):
    vit = build()
    load_into(vit if wrap is nn.Identity else wrap(vit), state)
    with torch.no_grad():
        assert torch.equal(vit(image()), logits(state))


def test_a_prefixed_state_of_a_trained_wrapper_is_taken(state, build):
    vit = build()
    load_into(vit, {f"vit.{key}": weight for key, weight in state.items()})
    assert torch.equal(vit.head.weight, state["head.weight"])


def test_positions_are_resized_to_the_model(state, build, logits):
    vit = build(img_size=20)
    load_into(vit, state)
    assert torch.equal(vit.pos_embed, resize_positions(state["pos_embed"], 26))


def test_a_new_head_is_the_models_own(state, build):
    vit = build(num_classes=7)
    nn.init.zeros_(vit.head.weight)
    load_into(vit, state, new_head=True)
    assert not vit.head.weight.any()
    assert torch.equal(vit.norm.weight, state["norm.weight"])


def test_a_headless_checkpoint_needs_a_new_head(state, build):
    vit, headless = build(), {key: weight for key, weight in state.items() if "head" not in key}
    before = snapshot(vit)
    with pytest.raises(CheckpointError, match="0 classes, but the model has 10"):
        load_into(vit, headless)
    assert unchanged(vit, before)
    load_into(vit, headless, new_head=True)
    assert torch.equal(vit.head.weight, before["head.weight"])


def test_a_headless_model_drops_the_head_on_request(state, build):
    with pytest.raises(CheckpointError, match="10 classes, but the model has 0"):
        load_into(build(num_classes=0), state)
    load_into(build(num_classes=0), state, new_head=True)


def test_a_model_with_bias_takes_a_checkpoint_without(state, build, logits):
    without = {key: weight for key, weight in state.items() if "qkv.bias" not in key}
    vit = build()
    load_into(vit, without)
    with torch.no_grad():
        assert torch.allclose(vit(image()), logits(without, qkv_bias=False), rtol=0, atol=1e-6)


REFUSED = {
    "classes": ({"num_classes": 7}, {}, r"10 classes, but the model has 7; ask for a new head \(new_head=True"),
    "deeper model": ({"depth": 3}, {}, "blocks.2.norm1.weight' is missing"),
    "shallower model": ({"depth": 1}, {}, "blocks.1.norm1.weight' does not belong"),
    "wider model": ({"embed_dim": 128}, {}, r"shape \(1, 1, 64\), but this ViT needs \(1, 1, 128\)"),
    "other patch": ({"patch_size": 2, "img_size": 6}, {}, "patch_embed.proj.weight"),
    "no bias": ({"qkv_bias": False}, {}, "qkv.bias' does not belong"),
    "no square": ({"img_size": (8, 12)}, {}, "do not fill a square"),
    "broadcastable": ({}, {"norm.bias": torch.ones(1)}, "norm.bias"),
    "nan": ({}, {"norm.bias": torch.full((64,), torch.nan)}, "norm.bias' holds NaN"),
    "late nan": ({}, {"head.bias": torch.full((10,), torch.inf)}, "head.bias' holds NaN"),
    "integers": ({}, {"head.bias": torch.ones(10, dtype=torch.int64)}, "head.bias' has dtype"),
    "extra": ({}, {"mask_token": torch.ones(1)}, "mask_token"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_leaves_every_weight_as_it_was(state, build, case):
    sizes, changes, message = REFUSED[case]
    model = Wrapped(build(**sizes))
    before = snapshot(model)
    with pytest.raises(CheckpointError, match=message):
        load_into(model, state | changes)
    assert unchanged(model, before)


def test_a_model_without_or_with_two_vits_is_refused(state, build):
    with pytest.raises(CheckpointError, match="no ViT"):
        load_into(nn.Linear(2, 2), state)
    with pytest.raises(CheckpointError, match="2 ViTs"):
        load_into(nn.ModuleList([build(), build()]), state)


def test_the_checkpoint_is_not_changed(state, build):
    before = {key: weight.clone() for key, weight in state.items()}
    load_into(build(img_size=20), with_image_size(state, 8))
    assert all(torch.equal(state[key], weight) for key, weight in before.items())
