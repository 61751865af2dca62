"""Fashion-MNIST, which torchvision fetches, and the places where it may lie already."""

from pathlib import Path

from torchvision import datasets

from regdrop.errors import DataError
from regdrop.tasks.images.labelled import Images
from regdrop.tasks.sources.cache import cache_folder
from regdrop.tasks.sources.images.idx import read_idx_images

DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
FASHION_MNIST_FOLDERS = (".", "FashionMNIST/raw")  # the files alone, or as torchvision lays them out


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
