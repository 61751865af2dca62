"""Any images kept as one folder a class, on disk or in a zip file."""

import io
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from regdrop.checkpoints.archives import DAMAGE
from regdrop.errors import DataError
from regdrop.tasks.images.labelled import Images, hold_out

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".webp")
MAX_FILES = 2_000_000
MAX_FILE_BYTES = 64 << 20
MAX_PIXELS = 50_000_000
TEST_SHARE = 5  # a source without a test part gives every fifth image to it

File = tuple[str, BinaryIO]


def read_folder(path: str | None, size: int, channels: int) -> tuple[Images, Images]:
    """Images under `path`: `train` and `test` (folders or .zip), or one folder or .zip that is split 4 : 1.

    All are held in memory at `size` x `size` pixels.

    Raises:
        DataError: nothing is there, a class is missing from one part, or a file is damaged or too large.
    """
    if path is None:
        raise DataError("the source 'folder' needs --data.path: a folder or .zip with one folder of images a class")
    root = Path(path)
    parts = [_find_part(root, name) for name in ("train", "test")]
    if parts[0] and parts[1]:
        named = [_read_part(part, size, channels) for part in (parts[0], parts[1])]
        if named[0][1] != named[1][1]:
            raise DataError(f"{parts[0]} has the classes {named[0][1]}, {parts[1]} has {named[1][1]}; make them agree")
        return named[0][0], named[1][0]
    images, _ = _read_part(root, size, channels)
    return hold_out(images, len(images) // TEST_SHARE)


def _find_part(root: Path, name: str) -> Path | None:
    return next((part for part in (root / name, root / f"{name}.zip") if part.exists()), None)


def _read_part(path: Path, size: int, channels: int) -> tuple[Images, list[str]]:
    """All images of one part, and the names of its classes."""
    files = _zip_files(path) if path.suffix == ".zip" else _disk_files(path)
    pixels, names = [], []
    for name, file in files:
        names.append(PurePosixPath(name).parts[-2])
        pixels.append(decode(f"{path}: {name}", file, channels, size))
    if not pixels:
        raise DataError(f"no images in {path}; it needs one folder a class holding {', '.join(SUFFIXES)} files")
    classes = sorted(set(names))
    labels = torch.tensor([classes.index(name) for name in names])
    return Images(torch.stack(pixels), labels, len(classes)), classes


def _disk_files(path: Path) -> Iterator[File]:
    for file in sorted(path.glob("*/*")):
        if file.suffix.lower() in SUFFIXES:
            _check_length(f"{file}", file.stat().st_size)
            with file.open("rb") as opened:
                yield str(PurePosixPath(*file.parts[-2:])), opened


def _zip_files(path: Path) -> Iterator[File]:
    """Images of a zip file, read in memory: nothing is unpacked, so no name can lead outside."""
    try:
        with zipfile.ZipFile(path) as archive:
            if len(archive.infolist()) > MAX_FILES:
                raise DataError(f"{path} lists {len(archive.infolist())} files; at most {MAX_FILES} are read")
            for entry in sorted(archive.infolist(), key=lambda entry: entry.filename):
                name = PurePosixPath(entry.filename)
                if name.suffix.lower() in SUFFIXES and len(name.parts) >= 2:
                    _check_length(f"{path}: {name}", entry.file_size)
                    yield entry.filename, io.BytesIO(archive.read(entry))
    except (OSError, RuntimeError, zipfile.LargeZipFile, *DAMAGE) as error:
        raise DataError(f"cannot read {path}: {error}; fetch it again") from error


def _check_length(name: str, length: int) -> None:
    if length > MAX_FILE_BYTES:
        raise DataError(f"{name} has {length} bytes; images of at most {MAX_FILE_BYTES} are read")


def decode(name: str, file: BinaryIO, channels: int, size: int | None = None) -> Tensor:
    """Pixels of an image file.

    Args:
        name: what an error calls the file.
        file: its content.
        channels: 1 for grey, 3 for colour.
        size: height and width to resize to; None keeps its own.

    Returns:
        uint8 `(channels, height, width)`.

    Raises:
        DataError: the file is no image, is damaged, or has too many pixels.
    """
    try:
        with (
            warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning),
            Image.open(file) as image,
        ):
            if image.width * image.height > MAX_PIXELS:
                raise DataError(f"{name} has {image.width} x {image.height} pixels; at most {MAX_PIXELS} are read")
            plain = image.convert("L" if channels == 1 else "RGB")
    except DataError:
        raise
    except Exception as error:  # a decoder raises whatever it trips over
        raise DataError(f"{name} is not a readable image: {error}") from error
    if size is not None and plain.size != (size, size):
        plain = plain.resize((size, size), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(plain)).reshape(plain.height, plain.width, channels).permute(2, 0, 1)
