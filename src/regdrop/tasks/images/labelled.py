"""Labelled images in memory, and the data set that serves them batch by batch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

import torch
from torch import Tensor
from torch.utils.data import Dataset

from regdrop.tasks.holdout import hold_out_indices

Transform = Callable[[Tensor, Tensor], Tensor]


class LabelledImages(Protocol):
    """Labelled images, in memory or on disk."""

    @property
    def labels(self) -> Tensor:
        """Classes, int64 `(items,)`."""

    @property
    def classes(self) -> int:
        """How many classes there are."""

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Tensor | slice) -> Self: ...

    def served(self, chosen: Tensor, transform: Transform, noise: Tensor) -> Tensor:
        """Pixels `(batch, ...)` of the images `chosen`, transformed, each by its own random number."""


Part = TypeVar("Part", bound=LabelledImages)


@dataclass(frozen=True, slots=True)
class Images:
    """Labelled images.

    Attributes:
        pixels: uint8 `(items, channels, height, width)`.
        labels: int64 `(items,)`.
        classes: how many classes there are.
    """

    pixels: Tensor
    labels: Tensor
    classes: int

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour."""
        return self.pixels.shape[1]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Tensor | slice) -> "Images":
        return Images(self.pixels[index], self.labels[index], self.classes)

    def served(self, chosen: Tensor, transform: Transform, noise: Tensor) -> Tensor:
        """Pixels of the images `chosen`, transformed at once."""
        return transform(self.pixels[chosen], noise)


def hold_out(images: Part, count: int) -> tuple[Part, Part]:
    """Split off `count` images by a shuffle that is the same in every run, whatever its seed.

    Returns:
        What is left, in shuffled order, and what was held out.

    Raises:
        DataError: there are not enough images.

    Example:
        >>> images = Images(torch.zeros(10, 1, 8, 8, dtype=torch.uint8), torch.arange(10), 10)
        >>> rest, held = hold_out(images, 3)
        >>> len(rest), len(held)
        (7, 3)
    """
    left, held = hold_out_indices(len(images), count)
    return images[left], images[held]


class ImageDataset(Dataset[dict[str, Tensor]]):
    """Serves whole batches `{"pixel_values", "labels"}`, transformed.

    What happens to an image at random depends on the seed, the epoch and its index alone: not on the batch it falls
    into, the number of processes or workers, nor on an interruption.

    Args:
        images: what to serve.
        transform: `(uint8 pixels (batch, C, H, W), int64 random numbers (batch,)) -> float pixels`.
        seed: of the random numbers.

    Example:
        >>> images = Images(torch.zeros(10, 1, 8, 8, dtype=torch.uint8), torch.arange(10), 10)
        >>> data = ImageDataset(images, lambda pixels, noise: pixels / 255, seed=0)
        >>> data.__getitems__([2, 5])["labels"]
        tensor([2, 5])
    """

    def __init__(self, images: LabelledImages, transform: Transform, seed: int) -> None:
        self.images = images
        self.transform = transform
        self.seed = seed
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Draw the random numbers of an epoch."""
        generator = torch.Generator().manual_seed((self.seed << 20) + epoch)
        self.noise = torch.randint(1 << 62, (len(self.images),), generator=generator)

    def __len__(self) -> int:
        return len(self.images)

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Tensor]:
        chosen = torch.as_tensor(indices)
        pixels = self.images.served(chosen, self.transform, self.noise[chosen])
        return {"pixel_values": pixels, "labels": self.images.labels[chosen]}

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {name: value[0] for name, value in self.__getitems__([index]).items()}


def collate(batch: Any) -> dict[str, Tensor]:
    """Pass on what `ImageDataset` has put together already."""
    served: dict[str, Tensor] = batch
    return served
