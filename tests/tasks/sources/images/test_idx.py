import gzip
import struct
from contextlib import suppress

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regdrop.errors import DataError
from regdrop.tasks.sources.images.idx import read_idx, read_idx_images


def idx(tensor):
    head = bytes((0, 0, 8, tensor.ndim)) + struct.pack(f">{tensor.ndim}I", *tensor.shape)
    return head + bytes(tensor.flatten().tolist())


def write_part(folder, name, pixels, labels):
    (folder / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(pixels)))
    (folder / f"{name}-labels-idx1-ubyte").write_bytes(idx(labels))


@pytest.mark.parametrize("shape", [(3,), (2, 3, 4), (1, 1, 1, 1)])
def test_round_trip(tmp_path, shape):
    values = torch.randint(0, 256, shape, dtype=torch.uint8)
    (tmp_path / "plain").write_bytes(idx(values))
    (tmp_path / "packed.gz").write_bytes(gzip.compress(idx(values)))
    assert torch.equal(read_idx(tmp_path / "plain"), values)
    assert torch.equal(read_idx(tmp_path / "packed.gz"), values)


def test_a_folder_gives_both_parts(tmp_path):
    pixels, labels = (
        torch.randint(0, 256, (5, 4, 4), dtype=torch.uint8),
        torch.tensor([0, 9, 3, 1, 1], dtype=torch.uint8),
    )
    write_part(tmp_path, "train", pixels, labels)
    assert read_idx_images(tmp_path) is None
    write_part(tmp_path, "t10k", pixels[:2], labels[:2])
    train, test = read_idx_images(tmp_path)
    assert torch.equal(train.pixels[:, 0], pixels)
    assert train.labels.tolist() == [0, 9, 3, 1, 1]
    assert len(test) == 2


@pytest.mark.parametrize(
    ("pixels", "labels"),
    [
        (torch.zeros(5, 4, 4, dtype=torch.uint8), torch.zeros(4, dtype=torch.uint8)),
        (torch.zeros(5, 16, dtype=torch.uint8), torch.zeros(5, dtype=torch.uint8)),
        (torch.zeros(5, 4, 4, dtype=torch.uint8), torch.full((5,), 10, dtype=torch.uint8)),
    ],
)
def test_labels_that_do_not_fit_are_refused(tmp_path, pixels, labels):
    for name in ("train", "t10k"):
        write_part(tmp_path, name, pixels, labels)
    with pytest.raises(DataError, match="do not belong together"):
        read_idx_images(tmp_path)


WHOLE = idx(torch.arange(12, dtype=torch.uint8).view(3, 4))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\0\0",
        b"\0\0\x0d\x01" + WHOLE[4:],
        WHOLE[:6],
        WHOLE[:-1],
        WHOLE + b"\0",
        b"\0\0\x08\x03" + b"\xff" * 12,
        idx(torch.zeros(0, 2)),
        b"\0\0\x08\x65" + b"\0\0\0\1" * 101 + b"\0",
    ],
    ids=[
        "empty",
        "short",
        "floats",
        "half a header",
        "a byte less",
        "a byte more",
        "a huge promise",
        "nothing",
        "101-d",
    ],
)
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_damaged_files_are_named(tmp_path, raw, suffix):
    path = tmp_path / f"file{suffix}"
    path.write_bytes(gzip.compress(raw) if suffix else raw)
    with pytest.raises(DataError, match=r"file.*fetch it again"):
        read_idx(path)


def test_a_file_that_is_no_gzip_is_named(tmp_path):
    (tmp_path / "file.gz").write_bytes(WHOLE)
    with pytest.raises(DataError, match=r"file\.gz.*fetch it again"):
        read_idx(tmp_path / "file.gz")


@settings(max_examples=200)
@given(st.binary(max_size=40))
def test_no_bytes_cause_any_other_error(tmp_path_factory, raw):
    path = tmp_path_factory.getbasetemp() / "fuzz"
    path.write_bytes(b"\0\0\x08" + raw)
    with suppress(DataError):
        assert read_idx(path).dtype == torch.uint8
