"""CIFAR-10 and CIFAR-100 as published, read from the archive or its unpacked folder without unpickling anything."""

import tarfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

import numpy as np
import torch
from torchvision.datasets import CIFAR10, CIFAR100
from torchvision.datasets.utils import download_url

from regdrop.checkpoints.pickle_arrays import made_array, read_pickle
from regdrop.checkpoints.refusals import named
from regdrop.errors import CheckpointError, DataError
from regdrop.tasks.images.labelled import Images
from regdrop.tasks.sources.cache import cache_folder

SHAPE = (3, 32, 32)
MAX_PART_BYTES = 1 << 29  # the training part of CIFAR-100 has 155 million bytes


@dataclass(frozen=True, slots=True)
class Cifar:
    """One of the two data sets: its classes, where torchvision finds it, its files and the key of their labels."""

    classes: int
    source: type[CIFAR10]
    train: Sequence[str]
    test: Sequence[str]
    labels: str

    @property
    def folder(self) -> str:
        """Folder of the files in the archive."""
        return str(self.source.base_folder)

    @property
    def archive(self) -> str:
        """File name of the archive."""
        return str(self.source.filename)


KINDS = {
    10: Cifar(10, CIFAR10, [f"data_batch_{i}" for i in range(1, 6)], ["test_batch"], "labels"),
    100: Cifar(100, CIFAR100, ["train"], ["test"], "fine_labels"),
}


def read_cifar(classes: int, path: str | None) -> tuple[Images, Images]:
    """Training and test part of CIFAR-10 or CIFAR-100.

    Args:
        classes: 10 or 100.
        path: folder that holds the published archive, or the folder it unpacks to; None: the cache, where the archive
            is downloaded when it is absent.

    Raises:
        DataError: it is not there and cannot be had, or a file is damaged or hostile.
    """
    kind = KINDS[classes]
    root = cache_folder() if path is None else Path(path)
    unpacked, archive = root / kind.folder, root / kind.archive
    if path is None and not archive.is_file():
        _download(kind, root)
    if unpacked.is_dir():
        files = {name: unpacked / name for name in [*kind.train, *kind.test]}
        return _parts(kind, {name: _read_file(file, kind) for name, file in files.items()})
    if archive.is_file():
        return _parts(kind, dict(_read_archive(archive, kind)))
    raise DataError(f"no CIFAR-{classes} in {root}; {_advice(kind)}")


def _download(kind: Cifar, root: Path) -> None:
    try:
        download_url(kind.source.url, root, kind.archive, kind.source.tgz_md5)
    except (OSError, RuntimeError) as error:
        raise DataError(f"CIFAR-{kind.classes} cannot be downloaded ({error}); {_advice(kind)}") from error


def _advice(kind: Cifar) -> str:
    return f"pass --data.path FOLDER, the one that holds {kind.archive} or {kind.folder}/"


def _parts(kind: Cifar, files: dict[str, Images]) -> tuple[Images, Images]:
    first, second = (
        Images(
            torch.cat([files[name].pixels for name in names]),
            torch.cat([files[name].labels for name in names]),
            kind.classes,
        )
        for names in (kind.train, kind.test)
    )
    return first, second


@contextmanager
def _refused(path: Path) -> Iterator[None]:
    """Name the file in every refusal, and make it one of data."""
    try:
        with named(path):
            yield
    except CheckpointError as error:
        raise DataError(f"{error}; fetch it again") from error
    except (tarfile.TarError, zlib.error, EOFError) as error:
        raise DataError(f"{path}: is no readable archive ({error}); fetch it again") from error


def _read_file(path: Path, kind: Cifar) -> Images:
    with _refused(path), path.open("rb") as file:
        return _images(file, path.stat().st_size, kind)


def _read_archive(path: Path, kind: Cifar) -> Iterator[tuple[str, Images]]:
    """Each file of the archive, read where it lies: nothing is unpacked, so no name can lead outside."""
    with _refused(path), tarfile.open(path, "r:gz") as archive:
        for name in [*kind.train, *kind.test]:
            yield name, _read_member(archive, f"{kind.folder}/{name}", kind)


def _read_member(archive: tarfile.TarFile, name: str, kind: Cifar) -> Images:
    try:
        member = archive.getmember(name)
    except KeyError:
        raise CheckpointError(f"{name} is missing from the archive") from None
    file = archive.extractfile(member) if member.isfile() else None
    if not isinstance(file, BufferedIOBase):
        raise CheckpointError(f"{name} is no file in the archive")
    with file:
        return _images(file, member.size, kind)


def _images(file: BufferedIOBase, size: int, kind: Cifar) -> Images:
    if size > MAX_PART_BYTES:
        raise CheckpointError(f"holds a file of {size:,} bytes; at most {MAX_PART_BYTES:,} are read")
    content = read_pickle(file, size)
    if not isinstance(content, dict) or not {"data", kind.labels} <= content.keys():
        raise CheckpointError(f"has no data and {kind.labels}, which files of CIFAR-{kind.classes} have")
    rows, labels = made_array("data", content["data"], ("u1",)), content[kind.labels]
    if rows.ndim != 2 or rows.shape[1] != np.prod(SHAPE):
        raise CheckpointError(f"has data of shape {rows.shape}, not rows of {np.prod(SHAPE)}")
    if not isinstance(labels, list) or not all(type(label) is int and 0 <= label < kind.classes for label in labels):
        raise CheckpointError(f"has {kind.labels} that are not a list of 0 to {kind.classes - 1}")
    if len(labels) != len(rows):
        raise CheckpointError(f"has {len(rows)} images, but {len(labels)} {kind.labels}")
    return Images(torch.from_numpy(rows).view(-1, *SHAPE), torch.tensor(labels), kind.classes)
