"""The 8x8 handwritten digits that come with scikit-learn: 1,797 images, no download."""

import torch
from sklearn.datasets import load_digits

from regdrop.tasks.images.labelled import Images, hold_out

TEST_IMAGES = 900


def read_digits() -> tuple[Images, Images]:
    """Training pool (897) and test part (900), split once and for all; the data set has no official split.

    Example:
        >>> train, test = read_digits()
        >>> len(train), len(test), tuple(train.pixels.shape[1:])
        (897, 900, (1, 8, 8))
    """
    raw = load_digits()
    pixels = torch.from_numpy(raw.images).mul(255 / 16).round().to(torch.uint8).unsqueeze(1)
    return hold_out(Images(pixels, torch.from_numpy(raw.target).long(), 10), TEST_IMAGES)
