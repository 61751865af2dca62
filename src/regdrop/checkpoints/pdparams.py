"""Paddle's .pdparams files: a pickle of a dict of NumPy arrays, read without unpickling."""

import math
import pickle
import struct
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from regdrop.checkpoints.pickle_machine import Built, Known, PickleMachine
from regdrop.checkpoints.pickle_opcodes import run_pickle
from regdrop.checkpoints.refusals import StateDict, check_backed, check_count, shown
from regdrop.errors import CheckpointError

_NAME_TABLE = "StructuredToParameterName@@"  # Paddle's own names of the weights; of no use outside its process
_FLOATS = ("f2", "f4", "f8")
_MAX_DIMENSIONS = 8


class _Array(Built):
    """An array that is not made yet: (version, shape, dtype, fortran_order, bytes)."""


class _DType(Built):
    """A type of numbers that is not made yet, such as "f4"; the state says their byte order."""

    def __init__(self, code: object) -> None:
        self.code = code


class _Latin1:
    """Protocol 2 writes bytes as text; turns no more of it back than the file has bytes."""

    def __init__(self, size: int) -> None:
        self.left = size

    def __call__(self, text: str, encoding: str) -> bytearray:
        if encoding != "latin1" or len(text) > self.left:
            raise ValueError(f"{len(text):,} characters in {shown(encoding)}")
        self.left -= len(text)
        return bytearray(text.encode("latin1"))


def read_pdparams(path: Path) -> StateDict:
    """Read the arrays of a .pdparams file, of protocol 2 to 4, written under NumPy 1 or 2.

    Raises:
        CheckpointError: the pickle is damaged, calls anything, or holds anything but arrays of floating point numbers.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        content = run_pickle(PickleMachine(file, size, _allowed(size)))
    if not isinstance(content, dict):
        raise CheckpointError(f"holds a {type(content).__name__}, not a dict of weights; save layer.state_dict()")
    content.pop(_NAME_TABLE, None)
    check_count(len(content))
    state = {key: _tensor(key, value) for key, value in content.items()}
    check_backed(state, size)
    return state


def write_pdparams(state: StateDict, path: Path) -> None:
    """Write weights as a .pdparams file that Paddle reads under NumPy 1 and 2."""
    with path.open("wb") as file:
        file.write(pickle.PROTO + b"\x04" + pickle.EMPTY_DICT)
        for key, weight in state.items():
            _write_item(file, key, weight.numpy())
        file.write(pickle.STOP)


def _allowed(size: int) -> dict[str, Known]:
    """What a pickle of arrays calls, under the names that NumPy 1 and NumPy 2 give it."""
    array = Known("ndarray")
    blank = Known("_reconstruct", lambda subtype, shape, code: _blank(subtype is array, shape, code))
    return {
        "numpy ndarray": array,
        "numpy dtype": Known("dtype", lambda code, *_: _DType(code)),
        "numpy.core.multiarray _reconstruct": blank,
        "numpy._core.multiarray _reconstruct": blank,
        "_codecs encode": Known("encode", _Latin1(size)),
        "collections OrderedDict": Known("OrderedDict", lambda: {}),
    }


def _blank(is_array: bool, shape: object, code: object) -> _Array:
    if not is_array or shape != (0,) or code != b"b":
        raise ValueError("no plain array")
    return _Array()


def _tensor(key: str, value: object) -> Tensor:
    """The weight of an array, in the memory that was read."""
    match value:
        case _Array(state=(1, tuple() as shape, _DType() as dtype, bool() as fortran_order, data)):
            return _array(key, shape, _number_type(key, dtype), fortran_order, data)
        case _Array():
            raise CheckpointError(f"key {shown(key)} is no plain array; it is damaged or holds objects")
    raise CheckpointError(f"key {shown(key)} holds a {type(value).__name__}, not an array; save layer.state_dict()")


def _number_type(key: str, dtype: _DType) -> np.dtype[Any]:
    match dtype.state:
        case (int(), "<", None, None, None, -1, -1, 0) if dtype.code in _FLOATS:
            return np.dtype(f"<{dtype.code}")
    raise CheckpointError(f"key {shown(key)} has dtype {shown(dtype.code)}; only floating point weights are read")


def _array(key: str, shape: tuple[Any, ...], dtype: np.dtype[Any], fortran_order: bool, data: object) -> Tensor:
    if len(shape) > _MAX_DIMENSIONS or not all(type(length) is int and length >= 1 for length in shape):
        raise CheckpointError(f"key {shown(key)} has a damaged shape")
    if not isinstance(data, bytearray) or len(data) != math.prod(shape) * dtype.itemsize:
        held = f"{len(data):,} bytes" if isinstance(data, bytearray) else f"a {type(data).__name__}"
        raise CheckpointError(f"key {shown(key)} declares shape {shape} of {dtype}, but holds {held}")
    return torch.from_numpy(np.frombuffer(data, dtype).reshape(shape, order="F" if fortran_order else "C"))


def _write_item(file: BinaryIO, key: str, array: np.ndarray[Any, np.dtype[Any]]) -> None:
    """One key and one array; NumPy 1's module name is used, which NumPy 2 reads as well."""
    text, data = key.encode(), np.ascontiguousarray(array, "<f4").data
    file.write(pickle.BINUNICODE + struct.pack("<I", len(text)) + text)
    file.write(_NAMED_ARRAY + b"".join(pickle.BININT + struct.pack("<i", length) for length in array.shape))
    file.write(_NAMED_FLOAT32 + pickle.BINBYTES8 + struct.pack("<Q", data.nbytes))
    file.write(data)
    file.write(pickle.TUPLE + pickle.BUILD + pickle.SETITEM)


# numpy.core.multiarray._reconstruct(numpy.ndarray, (0,), b"b"), then its state up to the shape: (1, (
_NAMED_ARRAY = (
    pickle.GLOBAL + b"numpy.core.multiarray\n_reconstruct\n" + pickle.GLOBAL + b"numpy\nndarray\n"
    + pickle.BININT1 + b"\x00" + pickle.TUPLE1 + pickle.SHORT_BINBYTES + b"\x01b" + pickle.TUPLE3 + pickle.REDUCE
    + pickle.MARK + pickle.BININT1 + b"\x01" + pickle.MARK
)  # fmt: skip
# ), numpy.dtype("f4", False, True) with its state (3, "<", None, None, None, -1, -1, 0), False,
_NAMED_FLOAT32 = (
    pickle.TUPLE + pickle.GLOBAL + b"numpy\ndtype\n" + pickle.SHORT_BINUNICODE + b"\x02f4"
    + pickle.NEWFALSE + pickle.NEWTRUE + pickle.TUPLE3 + pickle.REDUCE
    + pickle.MARK + pickle.BININT1 + b"\x03" + pickle.SHORT_BINUNICODE + b"\x01<" + 3 * pickle.NONE
    + 2 * (pickle.BININT + struct.pack("<i", -1)) + pickle.BININT1 + b"\x00" + pickle.TUPLE + pickle.BUILD
    + pickle.NEWFALSE
)  # fmt: skip
