"""Paddle's .pdparams files: a pickle of a dict of NumPy arrays, read without unpickling."""

import pickle
import struct
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

from regdrop.checkpoints.pickle_arrays import made_array, read_pickle
from regdrop.checkpoints.refusals import StateDict, check_backed, check_count
from regdrop.errors import CheckpointError

_NAME_TABLE = "StructuredToParameterName@@"  # Paddle's own names of the weights; of no use outside its process
_FLOATS = ("f2", "f4", "f8")


def read_pdparams(path: Path) -> StateDict:
    """Read the arrays of a .pdparams file, of protocol 2 to 4, written under NumPy 1 or 2.

    Raises:
        CheckpointError: the pickle is damaged, calls anything, or holds anything but arrays of floating point numbers.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        content = read_pickle(file, size)
    if not isinstance(content, dict):
        raise CheckpointError(f"holds a {type(content).__name__}, not a dict of weights; save layer.state_dict()")
    content.pop(_NAME_TABLE, None)
    check_count(len(content))
    state = {key: torch.from_numpy(made_array(key, value, _FLOATS)) for key, value in content.items()}
    check_backed(state, size)
    return state


def write_pdparams(state: StateDict, path: Path) -> None:
    """Write weights as a .pdparams file that Paddle reads under NumPy 1 and 2."""
    with path.open("wb") as file:
        file.write(pickle.PROTO + b"\x04" + pickle.EMPTY_DICT)
        for key, weight in state.items():
            _write_item(file, key, weight.numpy())
        file.write(pickle.STOP)


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
