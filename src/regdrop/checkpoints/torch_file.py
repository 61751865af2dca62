"""PyTorch files (.bin, .pth, .pt): a zip archive of a pickle and the bytes of the weights."""

import pickle
import pickletools
import zipfile
from pathlib import Path
from typing import BinaryIO

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
    torch.save(state, path)


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
    key = None
    try:
        for opcode, argument, _ in pickletools.genops(archive.read(entry)):
            key = argument if opcode.name.endswith("UNICODE") else key
            if opcode.name in _OTHER_CALLS or (opcode.name == "GLOBAL" and argument not in _GLOBALS):
                called = shown(argument) if argument else opcode.name
                raise CheckpointError(f"calls {called} near key {shown(key)}; only weights are read, nothing is run")
    except (ValueError, UnicodeError, EOFError) as error:
        raise CheckpointError(f"entry {shown(entry.filename)} is damaged ({error})") from error


def _loaded(file: BinaryIO) -> object:
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except (
        pickle.UnpicklingError,
        RuntimeError,
        ValueError,
        TypeError,
        LookupError,
        EOFError,
        AttributeError,
    ) as error:
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
