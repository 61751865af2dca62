"""Pixels as the model takes them: resized, augmented, normalised; random only through the numbers handed in."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.transforms import v2

Augmentation = Literal["none", "shift", "shift_flip", "resized_crop"]
MARGIN = 8  # a shift moves by at most the image's size divided by this


class Prepare:
    """Turn uint8 pixels into float32 ones in [-1, 1] of the model's size, augmented while training.

        none          resize
        shift         move by up to an eighth of the size, black coming in
        shift_flip    the same, and mirror every second image
        resized_crop  a random crop of 5 to 100 % of the area and 3/4 to 4/3 of the aspect, resized; the original ViT's

    Args:
        size: height and width the model takes, in pixels.
        augmentation: what to do at random; "none" for evaluation.

    Example:
        >>> prepare = Prepare(8, "shift")
        >>> prepare(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.tensor([5, 6])).shape
        torch.Size([2, 1, 8, 8])
    """

    def __init__(self, size: int, augmentation: Augmentation) -> None:
        self.size = size
        self.augmentation = augmentation
        self._crop = v2.RandomResizedCrop(size, scale=(0.05, 1.0), antialias=True)

    def __call__(self, pixels: Tensor, noise: Tensor) -> Tensor:
        """Prepare one batch; `noise` holds one int64 random number an image."""
        if self.augmentation == "resized_crop":
            pixels = self._crop_each(pixels, noise)
        elif pixels.shape[-2:] != (self.size, self.size):
            pixels = v2.functional.resize(pixels, [self.size, self.size], antialias=True)
        if self.augmentation in ("shift", "shift_flip"):
            pixels = shift(pixels, noise)
        if self.augmentation == "shift_flip":
            pixels = torch.where((noise >> 40 & 1).bool().view(-1, 1, 1, 1), pixels.flip(-1), pixels)
        return pixels.float().div_(127.5).sub_(1.0)

    def _crop_each(self, pixels: Tensor, noise: Tensor) -> Tensor:
        """Crop each image by its own random number, leaving the global random state as it was."""
        with torch.random.fork_rng(devices=[]):
            return torch.stack([self._seeded_crop(image, seed) for image, seed in zip(pixels, noise, strict=True)])

    def _seeded_crop(self, image: Tensor, seed: Tensor) -> Tensor:
        torch.default_generator.manual_seed(int(seed))
        cropped: Tensor = self._crop(image)
        return cropped


def shift(pixels: Tensor, noise: Tensor) -> Tensor:
    """Move every image by its own whole number of pixels, at most an eighth of its size, black coming in.

    Example:
        >>> shift(torch.full((1, 1, 8, 8), 9, dtype=torch.uint8), torch.tensor([0]))[0, 0, :2, :2]
        tensor([[0, 0],
                [0, 9]], dtype=torch.uint8)
    """
    height, width = pixels.shape[-2:]
    margin = max(1, min(height, width) // MARGIN)
    padded = functional.pad(pixels, [margin] * 4)
    places = 2 * margin + 1
    rows = torch.arange(height) + (noise % places).view(-1, 1)
    columns = torch.arange(width) + (noise // places % places).view(-1, 1)
    items = torch.arange(len(pixels)).view(-1, 1, 1)
    # Indexing with a slice in between puts the channels last.
    return padded[items, :, rows.unsqueeze(2), columns.unsqueeze(1)].movedim(-1, 1)
