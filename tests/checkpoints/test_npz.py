"""The .npz reader: plain float arrays in any layout, and nothing else; random damage ends in CheckpointError alone."""

import io
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from regdrop.checkpoints.npz import read_npz, write_npz
from regdrop.errors import CheckpointError


def npy(array, **options):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, **options)
    return file.getvalue()


def written(path, content, name="head/bias.npy", compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr(name, content)
    return path


FLOATS = arrays_of.arrays(
    st.sampled_from([np.float16, np.float32, np.float64, np.dtype(">f4")]),
    arrays_of.array_shapes(max_dims=4, max_side=4),
    elements=st.floats(-100, 100, width=16),
)


@settings(max_examples=30, deadline=None)
@given(array=FLOATS, fortran=st.booleans(), packed=st.booleans())
def test_every_float_array_is_read(tmp_path_factory, array, fortran, packed):
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    array = np.asfortranarray(array) if fortran else array
    (np.savez_compressed if packed else np.savez)(path, **{"head/bias": array})
    assert np.array_equal(read_npz(path)["head/bias"].numpy(), array)


def test_format_version_two_is_read(tmp_path):
    array = np.arange(6, dtype=np.float32)
    path = written(tmp_path / "a.npz", npy(array, version=(2, 0)))
    assert read_npz(path)["head/bias"].tolist() == array.tolist()


def test_numpy_reads_what_is_written(tmp_path):
    state = {"head/kernel": torch.randn(3, 4), "cls": torch.randn(1, 1, 4)}
    write_npz(state, tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as read:
        assert all(np.array_equal(read[key], weight.numpy()) for key, weight in state.items())


class Tripwire:
    """Says so if it is ever unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_an_array_of_objects_is_refused_and_not_unpickled(tmp_path):
    trace = tmp_path / "trace"
    array = np.array([Tripwire(trace)], dtype=object)
    with pytest.raises(CheckpointError, match="'head/bias' is an array of objects"):
        read_npz(written(tmp_path / "a.npz", npy(array, allow_pickle=True)))
    assert not trace.exists()


@pytest.mark.parametrize("dtype", [np.int32, np.uint8, np.complex64, np.bool_, "U4", "M8[s]", "f4,f4", np.longdouble])
def test_other_numbers_are_refused(tmp_path, dtype):
    with pytest.raises(CheckpointError, match="'head/bias' has dtype"):
        read_npz(written(tmp_path / "a.npz", npy(np.zeros(2, dtype))))


def header(text, version=b"\x01\x00"):
    size = len(text).to_bytes(2 if version[0] == 1 else 4, "little")
    return b"\x93NUMPY" + version + size + text.encode("latin1")


LIES = {
    "more than is there": header("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,)}\n") + bytes(8),
    "less than is there": header("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}\n") + bytes(8),
    "negative": header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, -2)}\n") + bytes(8),
    "empty": header("{'descr': '<f4', 'fortran_order': False, 'shape': (0,)}\n"),
    "no end": header("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)\n") + bytes(4),
    "no shape": header("{'descr': '<f4', 'fortran_order': False}\n"),
    "code": header("__import__('os').system('true')\n"),
    "deep": header("(" * 9000 + ")" * 9000),
    "long header": header(" " * 2_000_000, b"\x02\x00"),
    "unknown version": header("{}", b"\x09\x00"),
    "no array": b"weights",
    "nothing": b"",
}


@pytest.mark.parametrize("lie", LIES)
def test_headers_that_lie_are_refused(tmp_path, lie):
    with pytest.raises(CheckpointError, match="key 'head/bias'"):
        read_npz(written(tmp_path / "a.npz", LIES[lie]))


def test_an_entry_that_is_no_array_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"'evil.py' is no NumPy array"):
        read_npz(written(tmp_path / "a.npz", b"", name="evil.py"))


def test_a_member_that_unpacks_to_more_than_it_declares_is_refused(tmp_path):
    path = written(tmp_path / "a.npz", npy(np.zeros(4000, np.float32)), compression=zipfile.ZIP_DEFLATED)
    content, size = path.read_bytes(), (16_000 + 128).to_bytes(4, "little")
    assert size in content
    path.write_bytes(content.replace(size, (4_000 + 128).to_bytes(4, "little")))
    with pytest.raises(CheckpointError, match="head/bias"):
        read_npz(path)


@settings(max_examples=300, deadline=None)
@given(
    place=st.integers(0, 10_000),
    new=st.binary(min_size=1, max_size=12),
    cut=st.integers(0, 10_000),
    packed=st.booleans(),
)
def test_random_damage_ends_in_checkpoint_error_alone(tmp_path_factory, place, new, cut, packed):
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    arrays = {"cls": np.ones((1, 1, 8), np.float32), "head/bias": np.ones(5, np.float32)}
    (np.savez_compressed if packed else np.savez)(path, **arrays)
    content = path.read_bytes()
    place %= len(content)
    content = content[:place] + new + content[place + len(new) :]
    path.write_bytes(content[: len(content) - cut % 50 * (cut % 3 == 0)])
    try:
        state = read_npz(path)
    except CheckpointError:
        return
    assert all(torch.equal(weight, torch.ones_like(weight)) for weight in state.values())


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=300))
def test_random_bytes_end_in_checkpoint_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "random.npz"
    with pytest.raises(CheckpointError):
        read_npz(written(path, content))
    path.write_bytes(content)
    with pytest.raises(CheckpointError):
        read_npz(path)
