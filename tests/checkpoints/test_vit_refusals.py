"""Whole files that are refused: with the file's name and the key, nothing written, nothing half read."""

import os
import re
import resource
from contextlib import contextmanager

import numpy as np
import pytest
import torch

import vit_reference as tiny
from regdrop.checkpoints import refusals, vit
from regdrop.checkpoints.vit import FORMATS, convert, load_vit, save_vit
from regdrop.errors import CheckpointError, InputError
from vit_reference import google_arrays

SUFFIXES = sorted(FORMATS)


def written(state, folder, suffix):
    path = folder / f"vit{suffix}"
    save_vit(state, path, heads=tiny.HEADS)
    return path


def broken(state, **changes):
    return {**state, **{key.replace("__", "."): weight for key, weight in changes.items()}}


def without(state, part):
    return {key: weight for key, weight in state.items() if part not in key}


FAULTS = {
    "nan": (lambda s: broken(s, norm__bias=torch.full((64,), torch.nan)), "norm.bias.*NaN or inf"),
    "inf": (lambda s: broken(s, norm__bias=torch.full((64,), -torch.inf)), "norm.bias.*NaN or inf"),
    "broadcastable": (lambda s: broken(s, norm__bias=torch.ones(1)), r"norm.bias.*\(1,\).*needs \(64,\)"),
    "transposed": (lambda s: broken(s, blocks__0__mlp__fc2__weight=torch.ones(96, 64)), r"fc2.weight.*\(96, 64\)"),
    "flattened": (lambda s: broken(s, pos_embed=torch.ones(10, 64)), r"pos_embed.*\(10, 64\).*3 dimensions"),
    "empty": (lambda s: broken(s, pos_embed=torch.ones(1, 0, 64)), r"pos_embed.*\(1, 0, 64\)"),
    "missing block": (lambda s: without(s, "blocks.0."), "blocks.0.*missing"),
    "missing key": (lambda s: without(s, "blocks.1.norm1.bias"), r"blocks.1.norm1.bias.*missing \(1 "),
    "missing bias": (lambda s: without(s, "blocks.1.attn.qkv.bias"), "blocks.1.attn.qkv.bias.*missing"),
    "missing norm": (lambda s: without(s, "norm"), "missing"),
    "no patches": (lambda s: without(s, "patch_embed.proj.weight"), "no ViT.*patch_embed.proj.weight"),
    "no blocks": (lambda s: without(s, "blocks."), "missing"),
    "extra key": (lambda s: broken(s, dist_token=torch.ones(1)), "dist_token.*does not belong"),
    "extra block": (lambda s: broken(s, blocks__7__norm1__bias=torch.ones(64)), "blocks.2.*missing"),
    "huge block": (lambda s: broken(s, **{f"blocks__{'9' * 5000}__norm1__bias": torch.ones(64)}), "blocks.2.*missing"),
    "two ViTs": (lambda s: s | {f"twin.{key}": weight.clone() for key, weight in s.items()}, "2 ViTs.*twin"),
    "no weights": (lambda _: {}, "no ViT"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_state_that_is_no_vit_is_refused(state, tmp_path, suffix, fault):
    break_it, message = FAULTS[fault]
    path = tmp_path / f"vit{suffix}"
    FORMATS[suffix].write(break_it(state), path)
    with pytest.raises(CheckpointError, match=f"{re.escape(str(path))}: .*{message}"):
        load_vit(path)


@pytest.mark.parametrize("fault", [name for name in FAULTS if name not in ("two ViTs", "no weights")])
def test_a_state_that_is_no_vit_is_not_written(state, tmp_path, fault):
    break_it, message = FAULTS[fault]
    with pytest.raises(CheckpointError, match=message):
        save_vit(break_it(state), tmp_path / "vit.safetensors")
    assert list(tmp_path.iterdir()) == [tmp_path / "google.npz"]


GOOGLE_FAULTS = {
    "heads": ("Transformer/encoderblock_1/MultiHeadDotProductAttention_1/key/kernel", (64, 8, 8)),
    "flat heads": ("Transformer/encoderblock_0/MultiHeadDotProductAttention_1/query/kernel", (64, 64)),
    "odd heads": ("Transformer/encoderblock_0/MultiHeadDotProductAttention_1/query/kernel", (64, 5, 13)),
    "cls": ("cls", (1, 1, 1)),
    "patches": ("embedding/kernel", (4, 2, 3, 64)),
    "integers": ("head/bias", None),
}


@pytest.mark.parametrize("fault", GOOGLE_FAULTS)
def test_a_google_file_with_a_wrong_shape_is_refused(tmp_path, fault):
    key, shape = GOOGLE_FAULTS[fault]
    wrong = np.ones(10, np.int64) if shape is None else np.ones(shape, np.float32)
    np.savez(tmp_path / "vit.npz", **(google_arrays() | {key: wrong}))
    with pytest.raises(CheckpointError, match=f"vit.npz: key '{key}'"):
        load_vit(tmp_path / "vit.npz")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_truncated_files_are_refused(state, tmp_path, suffix):
    path = written(state, tmp_path, suffix)
    whole = path.read_bytes()
    for size in (0, 1, 7, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(CheckpointError, match=re.escape(str(path))):
            load_vit(path)


@pytest.mark.parametrize("suffix", [".npz", ".bin"])
def test_one_flipped_bit_is_noticed_where_the_format_has_sums(state, tmp_path, suffix):
    path = written(state, tmp_path, suffix)
    whole = path.read_bytes()
    where = whole.index(state["norm.bias"].numpy().tobytes())
    for bit in range(8):
        path.write_bytes(whole[:where] + bytes([whole[where] ^ 1 << bit]) + whole[where + 1 :])
        with pytest.raises(CheckpointError, match="damaged"):
            load_vit(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_another_format_under_the_suffix_is_refused(state, tmp_path, suffix):
    for other in {".npz", ".pth", ".safetensors", ".pdparams"} - {suffix, ".pth" if suffix in (".bin", ".pt") else ""}:
        written(state, tmp_path, other).rename(tmp_path / f"vit{suffix}")
        with pytest.raises(CheckpointError, match=re.escape(f"vit{suffix}: ")):
            load_vit(tmp_path / f"vit{suffix}")


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"nowhere.npz: does not exist"):
        load_vit(tmp_path / "nowhere.npz")
    (tmp_path / "folder.npz").mkdir()
    os.mkfifo(tmp_path / "pipe.bin")
    for name in ("folder.npz", "pipe.bin"):
        with pytest.raises(CheckpointError, match=f"{name}: is no file"):
            load_vit(tmp_path / name)


def test_an_unknown_suffix_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(InputError, match=r"'.safetensor' is no known.*did you mean '.safetensors'"):
        load_vit(tmp_path / "vit.safetensor")
    with pytest.raises(InputError, match="no known checkpoint format"):
        convert(tmp_path / "nowhere.npz", tmp_path / "vit.ckpt")


def test_a_file_over_the_limit_is_refused(tmp_path):
    path = tmp_path / "vast.pdparams"
    with path.open("wb") as file:
        file.truncate(refusals.MAX_FILE_BYTES + 1)
    with pytest.raises(CheckpointError, match="over the limit"):
        load_vit(path)


def test_sizes_that_cannot_be_are_refused(state, npz, tmp_path):
    with pytest.raises(InputError, match="no multiple of the patch"):
        convert(npz, tmp_path / "vit.pth", image_size=13)
    with pytest.raises(InputError, match="at least 1"):
        convert(npz, tmp_path / "vit.pth", new_head=0)
    with pytest.raises(InputError, match="width 64 does not tell it"):
        save_vit(state, tmp_path / "vit.npz")
    with pytest.raises(InputError, match="5 heads do not divide"):
        save_vit(state, tmp_path / "vit.npz", heads=5)
    assert list(tmp_path.iterdir()) == [npz]


def test_published_widths_know_their_heads():
    """Ti, S, B and L have heads of 64, H has heads of 80."""
    assert [width // vit._heads(width, None) for width in (192, 384, 768, 1024, 1280)] == [64, 64, 64, 64, 80]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_failed_write_leaves_the_old_file(state, tmp_path, suffix, monkeypatch):
    path = written(state, tmp_path, suffix)
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(CheckpointError, match="No space left"):
        save_vit(state, path, heads=tiny.HEADS)
    assert path.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == sorted([path, tmp_path / "google.npz"])


@contextmanager
def files_up_to(size):
    """As on a full disk, no file of this process grows over `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_leaves_the_old_file(state, tmp_path, suffix):
    path = written(state, tmp_path, suffix)
    before = path.read_bytes()
    with files_up_to(100_000), pytest.raises(CheckpointError, match=re.escape(f"{path}: ")):
        save_vit(state, path, heads=tiny.HEADS)
    assert path.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == sorted([path, tmp_path / "google.npz"])


def test_a_missing_folder_is_named(state, tmp_path):
    for suffix in SUFFIXES:
        with pytest.raises(CheckpointError, match="nowhere/vit"):
            save_vit(state, tmp_path / "nowhere" / f"vit{suffix}", heads=tiny.HEADS)
