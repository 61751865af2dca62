"""PyTorch files (.bin, .pth, .pt): a zip archive of a pickle and the bytes of the weights."""

import pickletools
import warnings
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor, nn

from regdrop.checkpoints.archives import check_sums, opened_archive
from regdrop.checkpoints.refusals import MAX_HEADER_BYTES, StateDict, check_backed, check_count, shown
from regdrop.errors import CheckpointError

# What torch.save writes for a dict of dense weights; torch.load(weights_only=True) would also make objects of any size.
_GLOBALS = {
    "collections OrderedDict",
    "torch._utils _rebuild_parameter",
    "torch._utils _rebuild_tensor_v2",
    *(f"torch {kind}Storage" for kind in ("BFloat16", "Double", "Float", "Half")),
}
_PROTOCOL = 2
_OTHER_CALLS = ("STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "PERSID")


def read_torch(path: Path) -> StateDict:
    """Read a dict of weights with `torch.load(weights_only=True)`, its archive and its pickle checked before.

    Raises:
        CheckpointError: the file is damaged, hostile, older than PyTorch 1.6, or holds anything but dense weights.
    """
    with path.open("rb") as file:
        _check_archive(file)
        size = file.tell()
        file.seek(0)
        content = _loaded(file)
    if not isinstance(content, dict):
        raise CheckpointError(f"holds a {type(content).__name__}, not a dict of weights; save model.state_dict()")
    check_count(len(content))
    state = {_name(key): _dense(key, value) for key, value in content.items()}
    check_backed(state, size)
    return state


def write_torch(state: StateDict, path: Path) -> None:
    """Write weights as `torch.save` does."""
    try:
        with path.open("wb") as file:
            torch.save(state, file)
    except RuntimeError as error:  # torch.save hides the system's error behind one of its own
        raise CheckpointError(f"cannot be written ({error.__context__ or error})") from error


def _check_archive(file: BinaryIO) -> None:
    """Refuse a damaged archive, and a pickle that names anything but weights; leaves the file at its end."""
    with opened_archive(file) as archive:
        check_sums(archive)
        for entry in archive.infolist():
            if entry.filename.lower().endswith(".pkl"):  # PyTorch finds it in any case
                _check_pickle(archive, entry)
    file.seek(0, 2)


def _check_pickle(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    if entry.file_size > MAX_HEADER_BYTES:
        raise CheckpointError(f"entry {shown(entry.filename)} is over the limit of {MAX_HEADER_BYTES:,} bytes")
    try:
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # of names with a backslash
            opcodes = [(opcode.name, argument) for opcode, argument, _ in pickletools.genops(archive.read(entry))]
    except (ValueError, EOFError) as error:
        raise CheckpointError(f"entry {shown(entry.filename)} is damaged ({error})") from error
    _check_opcodes(opcodes)


def _check_opcodes(opcodes: list[tuple[str, Any]]) -> None:
    """Refuse a pickle that names anything but dense weights; the text before a name is the key it stands at."""
    key = None
    for opcode, argument in opcodes:
        if opcode.endswith("UNICODE"):
            key = argument
        if opcode == "PROTO" and argument != _PROTOCOL:
            raise CheckpointError(f"is a pickle of protocol {argument}; torch.save writes {_PROTOCOL}")
        if opcode in _OTHER_CALLS or (opcode == "GLOBAL" and argument not in _GLOBALS):
            asked = shown(argument) if argument else opcode
            raise CheckpointError(
                f"asks for {asked} near key {shown(key)}; only dense floating point weights are read, nothing was run"
            )


def _loaded(file: BinaryIO) -> object:
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # it raises whatever it trips over
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"is no readable PyTorch file ({reason})") from error


def _name(key: object) -> str:
    if not isinstance(key, str):
        raise CheckpointError(f"has a key {shown(key)}; names of weights are strings")
    return key


def _dense(key: str, value: object) -> Tensor:
    """The value, if it is a dense weight in memory that owns all its numbers."""
    if not isinstance(value, Tensor) or type(value) not in (Tensor, nn.Parameter):
        raise CheckpointError(f"key {shown(key)} holds a {type(value).__name__}, not a weight; save model.state_dict()")
    if value.layout != torch.strided or value.device.type != "cpu":
        raise CheckpointError(f"key {shown(key)} is no dense weight ({value.layout} on {value.device})")
    return value.detach()
