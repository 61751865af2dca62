"""Whole files: every pair of formats keeps the weights and the logits."""

import itertools

import numpy as np
import pytest
import torch

import vit_reference as tiny
from regdrop.checkpoints.vit import FORMATS, convert, load_vit, save_vit
from vit_reference import google_arrays, google_logits, image, official_logits

SUFFIXES = sorted(FORMATS)


def written(state, folder, suffix, name="vit"):
    path = folder / f"{name}{suffix}"
    save_vit(state, path, heads=tiny.HEADS)
    return path


def test_a_google_file_computes_what_google_computes(state, logits):
    assert torch.allclose(logits(state).double(), google_logits(google_arrays(), image()), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("one", "two"), list(itertools.product(SUFFIXES, SUFFIXES)))
def test_every_pair_of_formats_keeps_the_logits(state, logits, tmp_path, one, two):
    """Equal weights after two files and back, and both re-statements of the forward pass agree with timm's to 1e-5."""
    source = written(state, tmp_path, one, "one")
    target = tmp_path / f"two{two}"
    convert(source, target, heads=tiny.HEADS)
    back = load_vit(target)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[key], state[key]) for key in state)
    assert torch.allclose(logits(back).double(), google_logits(google_arrays(), image()), rtol=0, atol=1e-5)


def test_an_official_file_computes_what_the_official_model_computes(state, logits, tmp_path):
    official = torch.load(written(state, tmp_path, ".bin"), weights_only=True)
    assert official["transformer.encoder.layer.1.attn.query.weight"].shape == (tiny.WIDTH, tiny.WIDTH)
    assert torch.allclose(logits(state).double(), official_logits(official, image()), rtol=0, atol=1e-5)


def test_a_google_file_written_here_is_read_by_timm(state, build, logits, tmp_path):
    model = build()
    model.load_pretrained(str(written(state, tmp_path, ".npz")))
    with torch.no_grad():
        assert torch.allclose(model(image()), logits(state), rtol=0, atol=1e-5)


def test_heads_stay_apart_in_a_google_file(state, tmp_path):
    """Bit for bit the arrays that were read, so no head is mixed with another."""
    arrays = np.load(written(state, tmp_path, ".npz"))
    assert all(np.array_equal(arrays[key], array) for key, array in google_arrays().items())


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("has_bias", [True, False])
def test_query_key_and_value_without_bias(state, logits, tmp_path, suffix, has_bias):
    without = {key: weight for key, weight in state.items() if has_bias or "qkv.bias" not in key}
    back = load_vit(written(without, tmp_path, suffix))
    expected = logits(without, qkv_bias=has_bias)
    assert torch.allclose(logits(back, qkv_bias="blocks.0.attn.qkv.bias" in back), expected, rtol=0, atol=1e-5)


def test_pre_logits_are_dropped_with_a_note(tmp_path, caplog):
    path = tmp_path / "21k.npz"
    np.savez(path, **google_arrays(), **{"pre_logits/kernel": np.eye(64), "pre_logits/bias": np.zeros(64)})
    assert "pre_logits.kernel" not in load_vit(path)
    assert "pre_logits/kernel is not read" in caplog.text


@pytest.mark.parametrize("prefix", ["module.", "vit.", "model.vit."])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_prefix_is_taken_off(state, tmp_path, prefix, suffix):
    path = tmp_path / f"vit{suffix}"
    FORMATS[suffix].write({prefix + key: weight for key, weight in state.items()}, path)
    assert load_vit(path).keys() == state.keys()


def test_half_precision_is_read_as_float32(state, tmp_path):
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        FORMATS[".pth"].write({key: weight.to(dtype) for key, weight in state.items()}, tmp_path / "vit.pth")
        back = load_vit(tmp_path / "vit.pth")
        assert all(torch.equal(back[key], state[key].to(dtype).float()) for key in state)


def test_convert_fits_image_size_and_head(npz, tmp_path, build):
    convert(npz, tmp_path / "vit.safetensors", image_size=20, new_head=7)
    back = load_vit(tmp_path / "vit.safetensors")
    build(img_size=20, num_classes=7).load_state_dict(back)
    assert not back["head.weight"].any()
    assert not back["head.bias"].any()


def test_a_headless_file_is_read(state, tmp_path):
    path = written({key: weight for key, weight in state.items() if "head" not in key}, tmp_path, ".pdparams")
    assert "head.weight" not in load_vit(path)
