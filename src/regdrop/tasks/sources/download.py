"""Data sets that torchvision fetches, and the places where they may lie already."""

import os
from pathlib import Path

import torch
from torchvision import datasets

from regdrop.errors import DataError
from regdrop.tasks.images import Images
from regdrop.tasks.sources.idx import read_idx_images

DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
FASHION_MNIST_FOLDERS = (".", "FashionMNIST/raw")  # the files alone, or as torchvision lays them out


def cache_folder() -> Path:
    """Where downloads go: `$XDG_CACHE_HOME/regdrop`, else `~/.cache/regdrop`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "regdrop"


def read_fashion_mnist(path: str | None) -> tuple[Images, Images]:
    """Fashion-MNIST from `path`, Debian's package or the cache, else downloaded by torchvision.

    Raises:
        DataError: it is not there and cannot be had; says how to get it.
    """
    places = [Path(path)] if path else [DEBIAN_FASHION_MNIST, cache_folder()]
    for folder in (place / inner for place in places for inner in FASHION_MNIST_FOLDERS):
        found = read_idx_images(folder)
        if found:
            return found
    advice = "apt-get install dataset-fashion-mnist, or pass --data.path FOLDER with its four *-ubyte.gz files"
    if path:
        raise DataError(f"no Fashion-MNIST in {path}; {advice}")
    try:
        datasets.FashionMNIST(str(cache_folder()), download=True)
    except (OSError, RuntimeError) as error:
        raise DataError(f"Fashion-MNIST cannot be downloaded ({error}); {advice}") from error
    return read_fashion_mnist(str(cache_folder()))


def read_cifar(classes: int, path: str | None) -> tuple[Images, Images]:
    """CIFAR-10 or CIFAR-100 in torchvision's layout from `path`, else from the cache, downloaded when absent.

    torchvision opens the official files only after their checksums agree.

    Raises:
        DataError: it is not there and cannot be had, or its files are damaged.
    """
    kind = datasets.CIFAR10 if classes == 10 else datasets.CIFAR100
    root = path or str(cache_folder())
    try:
        parts = [kind(root, train=train, download=path is None) for train in (True, False)]
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"no CIFAR-{classes} in {root} ({str(error).splitlines()[0]}); pass --data.path FOLDER, the one that holds "
            f"{kind.base_folder}/ unpacked from {kind.filename}"
        ) from error
    train, test = (
        Images(torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(part.targets), classes)
        for part in parts
    )
    return train, test
