"""PyTorch files: dense weights alone; what torch.load would run, allocate or pass over is refused before it sees it."""

import io
import pickle
import zipfile
from collections import OrderedDict

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from regdrop.checkpoints import refusals, torch_file
from regdrop.checkpoints.torch_file import read_torch, write_torch
from regdrop.errors import CheckpointError


def saved(path, content, **options):
    torch.save(content, path, **options)
    return path


def repickled(path, content, name="data.pkl"):
    """A PyTorch archive whose pickle is `content`."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"archive/{name}", content)
        archive.writestr("archive/version", "3\n")
    return path


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_state_dicts_and_plain_dicts_are_read(tmp_path, dtype):
    layer = nn.Linear(3, 4).to(dtype)
    for content in (layer.state_dict(), dict(layer.named_parameters()), OrderedDict(layer.state_dict())):
        state = read_torch(saved(tmp_path / "a.bin", content))
        assert torch.equal(state["weight"], layer.weight)
        assert not state["weight"].requires_grad


def test_torch_reads_what_is_written(tmp_path):
    state = {"weight": torch.randn(3, 4)}
    write_torch(state, tmp_path / "a.bin")
    assert torch.equal(torch.load(tmp_path / "a.bin", weights_only=True)["weight"], state["weight"])


class Tripwire:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("name", ["data.pkl", "DATA.PKL"])
def test_a_call_is_refused_by_name_and_not_made(tmp_path, protocol, name):
    content = pickle.dumps({"head.bias": Tripwire(tmp_path / "trace")}, protocol)
    with pytest.raises(
        CheckpointError, match=r"asks for '.* open' near key 'head.bias'" if protocol == 2 else "protocol 4"
    ):
        read_torch(repickled(tmp_path / "a.bin", content, name))
    assert not (tmp_path / "trace").exists()


def test_a_call_that_torch_allows_but_takes_any_memory_is_refused(tmp_path):
    """torch.load(weights_only=True) would make a bytearray of whatever size the file says."""
    content = b"\x80\x02}X\x01\x00\x00\x00wcbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85Rs."
    with pytest.raises(CheckpointError, match="asks for 'builtins bytearray' near key 'w'"):
        read_torch(repickled(tmp_path / "a.bin", content))


def test_files_from_before_version_1_6_are_refused(tmp_path):
    saved(tmp_path / "a.pth", {"w": torch.ones(1)}, _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointError, match="no readable zip archive"):
        read_torch(tmp_path / "a.pth")


def test_a_view_larger_than_its_memory_is_refused(tmp_path):
    """A stride of 0 makes a terabyte of one number."""
    with pytest.raises(CheckpointError, match="weights of 4,000,000,000,000 bytes"):
        read_torch(saved(tmp_path / "a.bin", {"w": torch.ones(1).expand(10**12)}))


def test_one_memory_under_many_names_is_refused(tmp_path):
    weight = torch.ones(1000)
    with pytest.raises(CheckpointError, match="weights are repeated"):
        read_torch(saved(tmp_path / "a.bin", {f"w{i}": weight for i in range(10)}))


OTHERS = {
    "list": ([torch.ones(1)], "holds a list"),
    "number": ({"epoch": 3}, "'epoch' holds a int, not a weight"),
    "nested": ({"model": {"w": torch.ones(1)}}, "'model' holds a dict, not a weight"),
    "key": ({3: torch.ones(1)}, "key of type int"),
}


@pytest.mark.parametrize("other", OTHERS)
def test_what_is_no_dict_of_weights_is_refused(tmp_path, other):
    content, message = OTHERS[other]
    with pytest.raises(CheckpointError, match=message):
        read_torch(saved(tmp_path / "a.bin", content))


@pytest.mark.parametrize(
    "weight", [torch.eye(2).to_sparse(), torch.ones(2, device="meta"), torch.ones(2, dtype=torch.int8)], ids=str
)
def test_what_is_no_dense_float_is_refused(tmp_path, weight):
    with pytest.raises(CheckpointError, match="asks for"):
        read_torch(saved(tmp_path / "a.bin", {"w": weight}))


def test_a_dense_weight_is_told_from_all_others():
    """The last line of defence, behind the pickle's."""
    for weight in (torch.eye(2).to_sparse(), torch.ones(2, device="meta"), torch.ones(1).numpy(), 1.0):
        with pytest.raises(CheckpointError, match="key 'w'"):
            torch_file._dense("w", weight)


def test_a_long_pickle_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(torch_file, "MAX_HEADER_BYTES", 50)
    with pytest.raises(CheckpointError, match=r"data.pkl' is over the limit of 50"):
        read_torch(saved(tmp_path / "a.bin", {"w": torch.ones(1)}))


def test_too_many_weights_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(refusals, "MAX_TENSORS", 9)
    with pytest.raises(CheckpointError, match="over the limit of 9"):
        read_torch(saved(tmp_path / "a.bin", {f"w{i}": torch.ones(1) for i in range(10)}))


@settings(max_examples=200, deadline=None)
@given(place=st.integers(0, 10_000), new=st.binary(min_size=1, max_size=12))
def test_random_damage_ends_in_checkpoint_error_alone(tmp_path_factory, place, new):
    path = tmp_path_factory.getbasetemp() / "damaged.bin"
    content = saved(path, {"w": torch.ones(3, 4), "b": torch.ones(4)}).read_bytes()
    place %= len(content)
    path.write_bytes((content[:place] + new + content[place + len(new) :])[: len(content)])
    try:
        state = read_torch(path)
    except CheckpointError:
        return
    assert all(torch.equal(weight, torch.ones_like(weight)) for weight in state.values())


@settings(max_examples=300, deadline=None)
@given(place=st.integers(0, 10_000), new=st.binary(min_size=1, max_size=6))
def test_random_damage_to_the_pickle_ends_in_checkpoint_error_alone(tmp_path_factory, place, new):
    """With sums that fit, as a hostile file has them."""
    path = tmp_path_factory.getbasetemp() / "damaged_pickle.bin"
    buffer = io.BytesIO()
    torch.save({"w": torch.ones(3, 4), "b": torch.ones(4)}, buffer)
    with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(path, "w") as target:
        for entry in source.infolist():
            content = source.read(entry)
            if entry.filename.endswith("data.pkl"):
                at = place % len(content)
                content = content[:at] + new + content[at + len(new) :]
            target.writestr(entry.filename, content)
    try:
        state = read_torch(path)
    except CheckpointError:
        return
    assert all(isinstance(weight, torch.Tensor) for weight in state.values())
