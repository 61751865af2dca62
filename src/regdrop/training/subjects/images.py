"""Labelled image files for a model of one's own: one folder a class."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor
from torchvision.datasets import ImageFolder

from regdrop.errors import DataError
from regdrop.tasks.sources.images.folder import decode

Sample = tuple[str, int]


def list_images(folder: Path) -> tuple[list[Sample], list[str]]:
    """Paths with the place of their class, and the names of the classes in alphabetical order.

    Raises:
        DataError: no folder, or none in it that holds images.
    """
    try:
        found = ImageFolder(str(folder))
    except OSError as error:
        raise DataError(f"{folder} is no folder of images: it needs CLASS/IMAGE files ({error})") from error
    # in turns, so that the first batches hold every class
    places = [0] * len(found.classes)
    turns = []
    for path, label in found.samples:
        turns.append((places[label], label, path))
        places[label] += 1
    return [(path, label) for _, label, path in sorted(turns)], list(found.classes)


def pixels_of(samples: Sequence[Sample], channels: int, size: int | None = None) -> list[Tensor]:
    """Decoded images, uint8 `(channels, height, width)` each; `size` makes them square."""
    pixels = []
    for path, _ in samples:
        with Path(path).open("rb") as file:
            pixels.append(decode(path, file, channels, size))
    return pixels
