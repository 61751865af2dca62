"""Image files on disk, one folder a class, decoded whenever they are served: for data that memory cannot hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torchvision.datasets import ImageFolder

from regdrop.errors import DataError
from regdrop.tasks.images.labelled import Transform
from regdrop.tasks.sources.images.folder import decode

TEST_NAMES = ("test", "val")  # ImageNet's labelled test part is called val


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """Labelled image files.

    Attributes:
        paths: of the files.
        labels: int64 `(items,)`.
        classes: how many classes there are.
        channels: 1 to decode in grey, 3 in colour.
    """

    paths: tuple[str, ...]
    labels: Tensor
    classes: int
    channels: int

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Tensor | slice) -> "ImageFiles":
        chosen = torch.arange(len(self))[index]
        return ImageFiles(
            tuple(self.paths[i] for i in chosen.tolist()), self.labels[chosen], self.classes, self.channels
        )

    def served(self, chosen: Tensor, transform: Transform, noise: Tensor) -> Tensor:
        """Pixels of the images `chosen`, decoded and transformed one by one, since they differ in size."""
        images = [self._decoded(index) for index in chosen.tolist()]
        return torch.cat([transform(image, noise[i : i + 1]) for i, image in enumerate(images)])

    def _decoded(self, index: int) -> Tensor:
        with Path(self.paths[index]).open("rb") as file:
            return decode(self.paths[index], file, self.channels).unsqueeze(0)


def list_files(path: str | None, channels: int) -> tuple[ImageFiles, ImageFiles]:
    """The files of `train/CLASS/` and of `test/CLASS/` or `val/CLASS/` under `path`.

    Raises:
        DataError: a part is missing or empty, or the parts differ in their classes.
    """
    if path is None:
        raise DataError("the source 'files' needs --data.path FOLDER, which holds train/CLASS/ and val/CLASS/")
    train, test = _list_part(path, ("train",)), _list_part(path, TEST_NAMES)
    if train.classes != test.classes:
        raise DataError(
            f"{train.root} has the classes {train.classes}, {test.root} has {test.classes}; make them agree"
        )
    first, second = (
        ImageFiles(tuple(file for file, _ in part.samples), torch.tensor(part.targets), len(part.classes), channels)
        for part in (train, test)
    )
    return first, second


def _list_part(path: str, names: Sequence[str]) -> ImageFolder:
    """The first of these folders that is there."""
    found = [Path(path) / name for name in names if (Path(path) / name).is_dir()]
    if not found:
        raise DataError(f"no {' or '.join(names)} in {path}; it needs train/CLASS/ and val/CLASS/ with images in them")
    try:
        return ImageFolder(str(found[0]))
    except FileNotFoundError as error:
        raise DataError(f"{found[0]}: {error}") from error
