"""NumPy arrays in pickles, read without unpickling: what such a pickle may call, and arrays out of what it built."""

import math
from io import BufferedIOBase
from typing import Any

import numpy as np

from regdrop.checkpoints.pickle_machine import Built, Known, PickleMachine
from regdrop.checkpoints.pickle_opcodes import run_pickle
from regdrop.checkpoints.refusals import shown
from regdrop.errors import CheckpointError

_MAX_DIMENSIONS = 8


class PickledArray(Built):
    """An array that is not made yet: (version, shape, dtype, fortran_order, bytes)."""


class _DType(Built):
    """A type of numbers that is not made yet, such as "f4"; the state says its byte order."""

    def __init__(self, code: object) -> None:
        self.code = code


class _Latin1:
    """Protocol 2 writes bytes as text; turns no more of it back than the file has bytes."""

    def __init__(self, size: int) -> None:
        self.left = size

    def __call__(self, text: object, encoding: object) -> bytearray:
        if not isinstance(text, str) or encoding != "latin1" or len(text) > self.left:
            raise ValueError(f"not a text of up to {self.left:,} characters in latin1")
        self.left -= len(text)
        return bytearray(text.encode("latin1"))


def read_pickle(file: BufferedIOBase, size: int) -> object:
    """The value of a pickle of protocol 2 to 4, written under NumPy 1 or 2; nothing in it is run.

    Args:
        file: opened for reading at the pickle's first byte.
        size: of the pickle in bytes; nothing beyond it is read.

    Returns:
        Containers, text, numbers, and a `PickledArray` for each array.

    Raises:
        CheckpointError: the pickle is damaged, or calls anything but what makes arrays.
    """
    return run_pickle(PickleMachine(file, size, _allowed(size)))


def made_array(key: str, value: object, types: tuple[str, ...]) -> np.ndarray[Any, Any]:
    """The array of a `PickledArray`, in the memory that was read.

    Args:
        key: what an error calls it.
        value: what the pickle holds under the key.
        types: NumPy's codes of the numbers that are taken, such as "f4".

    Raises:
        CheckpointError: no plain array, of other numbers, or its shape is not that of its bytes.
    """
    match value:
        case PickledArray(state=(1, tuple() as shape, _DType() as dtype, bool() as fortran_order, data)):
            return _array(key, shape, _number_type(key, dtype, types), fortran_order, data)
        case PickledArray():
            raise CheckpointError(f"key {shown(key)} is no plain array; it is damaged or holds objects")
    raise CheckpointError(f"key {shown(key)} holds a {type(value).__name__}, not an array")


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


def _blank(is_array: bool, shape: object, code: object) -> PickledArray:
    if not is_array or shape != (0,) or code not in (b"b", "b"):
        raise ValueError("no plain array")
    return PickledArray()


def _number_type(key: str, dtype: _DType, types: tuple[str, ...]) -> np.dtype[Any]:
    match dtype.state:
        case (int(), "<" | "|", None, None, None, -1, -1, 0) if dtype.code in types:
            return np.dtype(dtype.code).newbyteorder("<")
    raise CheckpointError(f"key {shown(key)} has dtype {shown(dtype.code)}; only {', '.join(types)} are read")


def _array(
    key: str, shape: tuple[Any, ...], dtype: np.dtype[Any], fortran_order: bool, data: object
) -> np.ndarray[Any, Any]:
    if len(shape) > _MAX_DIMENSIONS or not all(type(length) is int and length >= 1 for length in shape):
        raise CheckpointError(f"key {shown(key)} has a damaged shape")
    if not isinstance(data, bytearray) or len(data) != math.prod(shape) * dtype.itemsize:
        held = f"{len(data):,} bytes" if isinstance(data, bytearray) else f"a {type(data).__name__}"
        raise CheckpointError(f"key {shown(key)} declares shape {shape} of {dtype}, but holds {held}")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran_order else "C")
