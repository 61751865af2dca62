import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from regdrop.checkpoints.vit import save_vit
from regdrop.errors import CheckpointError, RecipeError
from regdrop.passes.attach import attach
from regdrop.tasks.models.vit import ViTModel, build_vit, load_pretrained

TINY = {"classes": 100, "image_size": 8, "patch_size": 4, "width": 16, "depth": 2, "heads": 2}


def batch(items=5, classes=100):
    return torch.randn(items, 3, 8, 8), torch.randint(0, classes, (items,))


def dropouts(model):
    return {name: module.p for name, module in model.named_modules() if isinstance(module, nn.Dropout) and module.p}


def test_a_head_of_zeros_starts_at_twice_the_log_of_the_classes_and_no_divergence():
    model = build_vit(ViTModel(**TINY, dropout=0.5)).train()
    handle = attach(model, alpha=1.0)
    pixels, labels = batch()
    assert model(pixel_values=pixels, labels=labels).loss.item() == pytest.approx(2 * math.log(100), abs=1e-5)
    metrics = handle.pop_metrics()
    assert metrics["kl"] == 0
    assert metrics["task_loss"] == pytest.approx(9.2103, abs=1e-4)


def test_dropout_sits_where_the_original_has_it():
    rates = dropouts(build_vit(ViTModel(**TINY, dropout=0.1)))
    mlp = {f"vit.blocks.{block}.mlp.drop{place}": 0.1 for block in range(2) for place in (1, 2)}
    assert rates == {"vit.pos_drop": 0.1, **mlp}


def test_each_rate_reaches_its_place():
    sizes = ViTModel(
        **TINY,
        dropout=0.1,
        attention_output_dropout=0.2,
        attention_dropout=0.3,
        drop_path=0.4,
        head_dropout=0.5,
    )
    model = build_vit(sizes)
    rates = dropouts(model)
    assert rates["vit.blocks.1.attn.proj_drop"] == 0.2
    assert rates["vit.blocks.1.attn.attn_drop"] == 0.3
    assert rates["vit.head_drop"] == 0.5
    assert model.vit.blocks[1].drop_path1.drop_prob == pytest.approx(0.4)


def test_normalisation_is_the_original_s():
    norms = [module for module in build_vit(ViTModel(**TINY)).modules() if isinstance(module, nn.LayerNorm)]
    assert {norm.eps for norm in norms} == {1e-6}


def test_the_loss_is_the_mean_cross_entropy_or_divided_by_the_items_of_the_whole_batch():
    model = build_vit(ViTModel(**TINY)).eval()
    nn.init.normal_(model.vit.head.weight)
    pixels, labels = batch()
    logits = model(pixels).logits
    wanted = functional.cross_entropy(logits.double(), labels)
    torch.testing.assert_close(model(pixels, labels).loss.double(), wanted)
    torch.testing.assert_close(model(pixels, labels, num_items_in_batch=20).loss.double(), wanted * 5 / 20)


def test_no_labels_no_loss():
    assert build_vit(ViTModel(**TINY))(batch()[0]).loss is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"patch_size": 3}, "image_size 8 is not a multiple of model.patch_size 3"),
        ({"heads": 3}, "width 16 is not a multiple of model.heads 3"),
        ({"dropout": 1.0}, "model.dropout is 1.0"),
        ({"depth": 0}, "model.depth is 0"),
    ],
)
def test_sizes_that_do_not_fit_are_named(change, message):
    with pytest.raises(RecipeError, match=message):
        ViTModel(**TINY | change)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".bin", ".pdparams"])
def test_pretrained_weights_fill_all_but_the_head_whatever_the_size_of_the_images(tmp_path, suffix):
    first = build_vit(ViTModel(**TINY | {"classes": 7}))
    nn.init.normal_(first.vit.head.weight)
    save_vit(first.state_dict(), tmp_path / f"first{suffix}", heads=2)
    model = ViTModel(**TINY | {"image_size": 16}, pretrained=str(tmp_path / f"first{suffix}"))
    second = build_vit(model)
    load_pretrained(second, model)
    before, after = first.state_dict(), second.state_dict()
    for key in before.keys() - {"vit.head.weight", "vit.head.bias", "vit.pos_embed"}:
        assert torch.equal(before[key], after[key]), key
    assert not after["vit.head.weight"].any()
    assert after["vit.pos_embed"].shape == (1, 17, 16)
    corners = before["vit.pos_embed"][0, [1, 2, 3, 4]]
    torch.testing.assert_close(after["vit.pos_embed"][0, [1, 4, 13, 16]], corners)


def test_without_a_file_the_weights_stay_random():
    model = build_vit(ViTModel(**TINY))
    before = {key: weight.clone() for key, weight in model.state_dict().items()}
    load_pretrained(model, ViTModel(**TINY))
    assert all(torch.equal(weight, before[key]) for key, weight in model.state_dict().items())


def test_missing_and_unfitting_pretrained_weights_are_named(tmp_path):
    absent = ViTModel(**TINY, pretrained=str(tmp_path / "ViT-B_16.npz"))
    with pytest.raises(CheckpointError, match=r"ViT-B_16\.npz; .*imagenet21k.*vit_models.*--model\.pretrained null"):
        load_pretrained(build_vit(absent), absent)
    save_vit(build_vit(ViTModel(**TINY)).state_dict(), tmp_path / "narrow.npz", heads=2)
    wide = ViTModel(**TINY | {"width": 32}, pretrained=str(tmp_path / "narrow.npz"))
    with pytest.raises(CheckpointError, match=r"narrow\.npz: key .* has shape"):
        load_pretrained(build_vit(wide), wide)
