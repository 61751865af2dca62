"""Google's .npz files: a zip archive of NumPy arrays."""

import math
import zipfile
from pathlib import Path
from tokenize import TokenError
from typing import IO

import numpy as np
import torch
from numpy.lib import format as npy

from regdrop.checkpoints.archives import DAMAGE, opened_archive
from regdrop.checkpoints.refusals import StateDict, shown
from regdrop.errors import CheckpointError

_SUFFIX = ".npy"
_CHUNK = 1 << 20
# What NumPy raises on a header that is damaged.
_HEADER_DAMAGE = (TokenError, SyntaxError, RecursionError, MemoryError)


def read_npz(path: Path) -> StateDict:
    """Read the arrays of an .npz file without unpickling anything.

    Raises:
        CheckpointError: the archive or an array is damaged, hostile, or no array of floating point numbers.
    """
    with path.open("rb") as file, opened_archive(file) as archive:
        return {_key(entry.filename): _array(archive, entry) for entry in archive.infolist()}


def write_npz(state: StateDict, path: Path) -> None:
    """Write weights as an uncompressed .npz file, as Google's are."""
    with zipfile.ZipFile(path, "w") as archive:
        for key, weight in state.items():
            with archive.open(key + _SUFFIX, "w", force_zip64=True) as member:
                npy.write_array(member, weight.numpy(), allow_pickle=False)


def _key(filename: str) -> str:
    if not filename.endswith(_SUFFIX):
        raise CheckpointError(f"entry {shown(filename)} is no NumPy array ({_SUFFIX})")
    return filename.removesuffix(_SUFFIX)


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> torch.Tensor:
    """One array; its size is held against the archive's before memory is taken for it."""
    key = shown(_key(entry.filename))
    try:
        with archive.open(entry) as member:
            shape, fortran_order, dtype = _header(member)
            _check_array(key, shape, dtype, entry.file_size - member.tell())
            data = _bytes(member, math.prod(shape) * dtype.itemsize)
    except (*DAMAGE, *_HEADER_DAMAGE) as error:
        raise CheckpointError(f"key {key} is damaged ({error})") from error
    array = np.frombuffer(data, dtype).reshape(shape, order="F" if fortran_order else "C")
    return torch.from_numpy(array.astype(dtype.newbyteorder("="), copy=False))


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    version = npy.read_magic(member)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"array format {version} is unknown")
    return npy.read_array_header_1_0(member) if version == (1, 0) else npy.read_array_header_2_0(member)


def _check_array(key: str, shape: tuple[int, ...], dtype: np.dtype[np.generic], size: int) -> None:
    if dtype.hasobject:
        raise CheckpointError(f"key {key} is an array of objects, which only a pickle could read; it is refused")
    if dtype.kind != "f" or dtype.itemsize > 8:
        raise CheckpointError(f"key {key} has dtype {dtype}; only floating point weights are read")
    if min(shape, default=1) < 1 or math.prod(shape) * dtype.itemsize != size:
        raise CheckpointError(f"key {key} declares shape {shape} of {dtype}, but holds {size:,} bytes")


def _bytes(member: IO[bytes], size: int) -> bytearray:
    """Exactly `size` bytes and the end of the entry, at which its CRC is checked."""
    data = bytearray(size)
    view, done = memoryview(data), 0
    while chunk := member.read(_CHUNK):
        view[done : done + len(chunk)] = chunk
        done += len(chunk)
    if done != size:
        raise EOFError(f"{done:,} of {size:,} bytes")
    return data
