"""The IDX files of MNIST and Fashion-MNIST, plain or gzipped."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import torch
from torch import Tensor

from regdrop.errors import DataError
from regdrop.tasks.images.labelled import Images

UNSIGNED_BYTE = 0x08
DIMENSIONS = (b"\1", b"\2", b"\3", b"\4")
MAX_BYTES = 1 << 31


def read_idx(path: Path) -> Tensor:
    """Read one IDX file of unsigned bytes.

    Returns:
        uint8 tensor of the shape its header gives.

    Raises:
        DataError: the file is not IDX, is truncated, or holds more than its header says.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            magic = file.read(4)
            if magic[:3] != bytes((0, 0, UNSIGNED_BYTE)) or magic[3:] not in DIMENSIONS:
                raise DataError(f"{path} begins with {magic.hex(' ')}, which is no IDX file of bytes; fetch it again")
            shape = struct.unpack(f">{magic[3]}I", file.read(4 * magic[3]))
            count = min(math.prod(shape), MAX_BYTES)
            raw = bytearray(file.read(count + 1))
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise DataError(f"cannot read {path}: {error}; fetch it again") from error
    if not raw or len(raw) != math.prod(shape):
        raise DataError(f"{path} does not hold the {math.prod(shape)} values its header promises; fetch it again")
    return torch.frombuffer(raw, dtype=torch.uint8).reshape(shape)


def read_idx_images(folder: Path) -> tuple[Images, Images] | None:
    """Training and test part out of a folder of MNIST-like IDX files; None where the folder has none.

    Raises:
        DataError: damaged files, or labels that do not fit the images.
    """
    parts = [_read_part(folder, name) for name in ("train", "t10k")]
    return None if parts[0] is None or parts[1] is None else (parts[0], parts[1])


def _read_part(folder: Path, name: str) -> Images | None:
    files = [_find(folder, f"{name}-{kind}-ubyte") for kind in ("images-idx3", "labels-idx1")]
    if files[0] is None or files[1] is None:
        return None
    pixels, labels = read_idx(files[0]), read_idx(files[1])
    if pixels.ndim != 3 or labels.shape != pixels.shape[:1] or bool((labels > 9).any()):
        raise DataError(
            f"{files[0]} of shape {tuple(pixels.shape)} and {files[1]} of shape {tuple(labels.shape)} do not belong "
            "together; fetch both again"
        )
    return Images(pixels.unsqueeze(1), labels.long(), 10)


def _find(folder: Path, stem: str) -> Path | None:
    return next((folder / name for name in (f"{stem}.gz", stem) if (folder / name).is_file()), None)
