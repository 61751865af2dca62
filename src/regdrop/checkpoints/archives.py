"""Zip archives (.npz and PyTorch files are such) checked before a byte is unpacked."""

import io
import zipfile
import zlib
from pathlib import PurePosixPath, PureWindowsPath
from typing import BinaryIO

from regdrop.checkpoints.refusals import (
    MAX_FILE_BYTES,
    MAX_HEADER_BYTES,
    MAX_RATIO,
    check_count,
    shown,
)
from regdrop.errors import CheckpointError

_PACKED = {zipfile.ZIP_STORED: "stored", zipfile.ZIP_DEFLATED: "deflated"}
_ENCRYPTED = 0x1
_FOLDER = 0x10  # of the attributes; PyTorch passes over such an entry and leaves its weight unset
# What zipfile raises on an entry that is damaged.
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError)


class _Bounded:
    """A file that refuses to hand out more than `MAX_HEADER_BYTES` at once, as a hostile directory asks for."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.seek, self.tell = file.seek, file.tell

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self.file.read(MAX_HEADER_BYTES + 1 if size < 0 else min(size, MAX_HEADER_BYTES + 1))
        if len(data) > MAX_HEADER_BYTES:
            raise CheckpointError(f"has a header over the limit of {MAX_HEADER_BYTES:,} bytes")
        return data


def opened_archive(file: BinaryIO) -> zipfile.ZipFile:
    """The zip archive in `file`, its directory checked: names, sizes, ratio, packing.

    Args:
        file: opened for reading; the caller closes it.

    Raises:
        CheckpointError: not a zip archive, damaged, a bomb, or with duplicate, encrypted or path-like entries.
    """
    try:
        archive = zipfile.ZipFile(_Bounded(file))
    except DAMAGE as error:
        raise CheckpointError(
            f"is no readable zip archive ({error}); it is truncated, damaged or of another format"
        ) from error
    entries, size = archive.infolist(), file.seek(0, io.SEEK_END)
    check_count(len(entries))
    _check_names(entries)
    for entry in entries:
        _check_entry(entry, size)
    _check_unpacked_size(entries, size)
    return archive


def check_sums(archive: zipfile.ZipFile) -> None:
    """Refuse an archive one of whose entries does not have its CRC-32."""
    for entry in archive.infolist():
        try:
            with archive.open(entry) as member:
                while member.read(1 << 20):
                    pass
        except DAMAGE as error:
            raise CheckpointError(f"entry {shown(entry.filename)} is damaged ({error})") from error


def _check_names(entries: list[zipfile.ZipInfo]) -> None:
    seen: set[str] = set()
    for entry in entries:
        name = entry.filename
        parts = PurePosixPath(name).parts
        if not name or "\\" in name or ".." in parts or name.startswith("/") or PureWindowsPath(name).drive:
            raise CheckpointError(f"entry {shown(name)} is a path out of the archive")
        if name.casefold() in seen:  # some readers find entries in any case
            raise CheckpointError(f"entry {shown(name)} is there twice")
        seen.add(name.casefold())


def _check_entry(entry: zipfile.ZipInfo, size: int) -> None:
    if not 0 <= entry.header_offset < size:
        raise CheckpointError(f"entry {shown(entry.filename)} is damaged (it lies outside of the file)")
    if entry.is_dir() or entry.external_attr & _FOLDER:
        raise CheckpointError(f"entry {shown(entry.filename)} is a folder, not an array")
    if entry.flag_bits & _ENCRYPTED:
        raise CheckpointError(f"entry {shown(entry.filename)} is encrypted")
    if entry.compress_type not in _PACKED:
        raise CheckpointError(
            f"entry {shown(entry.filename)} is packed in a way that is not read (only {_PACKED.values()})"
        )


def _check_unpacked_size(entries: list[zipfile.ZipInfo], size: int) -> None:
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > MAX_FILE_BYTES or unpacked > MAX_RATIO * size:
        raise CheckpointError(f"unpacks from {size:,} to {unpacked:,} bytes; that is a zip bomb, not a checkpoint")
