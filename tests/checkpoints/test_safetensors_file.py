"""safetensors files: floats alone, every key once, a bounded header; random damage ends in CheckpointError alone."""

import json
import struct
from contextlib import suppress

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from regdrop.checkpoints import refusals
from regdrop.checkpoints.safetensors_file import read_safetensors, write_safetensors
from regdrop.errors import CheckpointError


def written(path, header, data=bytes(8)):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_floats_are_read(tmp_path, dtype):
    weight = torch.randn(3, 4).to(dtype)
    save_file({"w": weight, "b": weight[0].clone()}, tmp_path / "a.safetensors", metadata={"note": "any"})
    state = read_safetensors(tmp_path / "a.safetensors")
    assert torch.equal(state["w"], weight)
    assert torch.equal(state["b"], weight[0])


def test_the_library_reads_what_is_written(tmp_path):
    state = {"w": torch.randn(3, 4)}
    write_safetensors(state, tmp_path / "a.safetensors")
    assert torch.equal(load_file(tmp_path / "a.safetensors")["w"], state["w"])


def test_weights_outlive_the_file(tmp_path):
    path = tmp_path / "a.safetensors"
    write_safetensors({"w": torch.ones(100_000)}, path)
    state = read_safetensors(path)
    path.write_bytes(bytes(path.stat().st_size))
    assert bool((state["w"] == 1).all())


LIES = {
    "twice": (
        b'{"w":' + json.dumps(entry()).encode() + b',"w":' + json.dumps(entry()).encode() + b"}",
        "'w' is there twice",
    ),
    "integers": ({"w": entry("I32")}, "'w' has dtype 'I32'"),
    "no dtype": ({"w": {"shape": [2]}}, "'w' has dtype"),
    "no entry": ({"w": 3}, "'w' has dtype"),
    "dtype is a list": ({"w": entry(["F32"])}, "'w' has dtype"),
    "out of bounds": ({"w": entry(offsets=(0, 800), shape=(200,))}, "no readable safetensors"),
    "backwards": ({"w": entry(offsets=(8, 0))}, "no readable safetensors"),
    "negative": ({"w": entry(offsets=(-8, 0))}, "no readable safetensors"),
    "another size": ({"w": entry(shape=(3,))}, "no readable safetensors"),
    "vast shape": ({"w": entry(shape=(2**63, 2**63, 2))}, "no readable safetensors"),
    "overlap": ({"w": entry(), "v": entry()}, "no readable safetensors"),
    "hole": ({"w": entry(shape=(1,), offsets=(4, 8))}, "no readable safetensors"),
    "a list": ([1, 2], "no JSON object"),
    "no JSON": (b"{weights}", "damaged header"),
    "not text": (b"\xff\xfe\x00{}", "damaged header"),
    "deep": (b'{"a":' * 100_000, "damaged header"),
    "long number": (b'{"w":' + b"9" * 10_000 + b"}", "damaged header"),
}


@pytest.mark.parametrize("lie", LIES)
def test_headers_that_lie_are_refused(tmp_path, lie):
    header, message = LIES[lie]
    with pytest.raises(CheckpointError, match=message):
        read_safetensors(written(tmp_path / "a.safetensors", header))


@pytest.mark.parametrize("length", [1 << 63, (16 << 20) + 1, 5])
def test_a_header_longer_than_the_file_or_the_limit_is_not_read(tmp_path, length):
    path = tmp_path / "a.safetensors"
    path.write_bytes(struct.pack("<Q", length) + b"{}")
    with pytest.raises(CheckpointError, match=f"header of {length:,} bytes"):
        read_safetensors(path)


def test_too_many_weights_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(refusals, "MAX_TENSORS", 1)
    with pytest.raises(CheckpointError, match="2 entries"):
        read_safetensors(written(tmp_path / "a.safetensors", {"w": entry(), "v": entry()}))


@settings(max_examples=200, deadline=None)
@given(place=st.integers(0, 10_000), new=st.binary(min_size=1, max_size=8), cut=st.integers(0, 20))
def test_random_damage_ends_in_checkpoint_error_alone(tmp_path_factory, place, new, cut):
    path = tmp_path_factory.getbasetemp() / "damaged.safetensors"
    write_safetensors({"w": torch.ones(3, 4), "b": torch.ones(4)}, path)
    content = path.read_bytes()
    place %= len(content)
    content = content[:place] + new + content[place + len(new) :]
    path.write_bytes(content[: len(content) - cut])
    with suppress(CheckpointError):
        read_safetensors(path)
