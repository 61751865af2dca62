"""safetensors files: a JSON header of names, types and offsets, then the bytes of the weights."""

import json
import struct
from collections import Counter
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from regdrop.checkpoints.refusals import MAX_HEADER_BYTES, StateDict, check_count, shown
from regdrop.errors import CheckpointError

_LENGTH = struct.Struct("<Q")
_DTYPES = ("F16", "BF16", "F32", "F64")
_METADATA = "__metadata__"


def read_safetensors(path: Path) -> StateDict:
    """Read the weights of a safetensors file; its header is checked here, its offsets by the safetensors library.

    Raises:
        CheckpointError: the header is damaged, too long, has a key twice or another dtype; an offset is out of bounds.
    """
    _check_header(path)
    try:
        with safe_open(path, framework="pt") as file:
            # clones, since the library's tensors lie in the mapped file and die when it is written anew
            return {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"is no readable safetensors file ({error})") from error


def write_safetensors(state: StateDict, path: Path) -> None:
    """Write weights as a safetensors file that transformers and timm read."""
    try:
        save_file(state, path, metadata={"format": "pt"})
    except SafetensorError as error:
        raise CheckpointError(f"cannot be written ({error})") from error


def _check_header(path: Path) -> None:
    header = _header(path)
    check_count(len(header))
    for key, entry in header.items():
        if key != _METADATA and (not isinstance(entry, dict) or entry.get("dtype") not in _DTYPES):
            dtype = entry.get("dtype") if isinstance(entry, dict) else entry
            raise CheckpointError(f"key {shown(key)} has dtype {shown(dtype)}; only floating point weights are read")


def _header(path: Path) -> dict[str, object]:
    with path.open("rb") as file:
        prefix = file.read(_LENGTH.size)
        size = path.stat().st_size - _LENGTH.size
        length = _LENGTH.unpack(prefix)[0] if len(prefix) == _LENGTH.size else size + 1
        if length > min(size, MAX_HEADER_BYTES):
            raise CheckpointError(
                f"declares a header of {length:,} bytes, over the file's end or the limit; it is damaged"
            )
        text = file.read(length)
    try:
        header = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"has a damaged header ({error})") from error
    if not isinstance(header, dict):
        raise CheckpointError("has a header that is no JSON object")
    return header


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    twice = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
    if twice:
        raise CheckpointError(f"key {shown(twice[0])} is there twice")
    return dict(pairs)
