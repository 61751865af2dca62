"""A small convolutional network as a recipe describes it: its channels double as its pictures halve."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from regdrop.errors import RecipeError
from regdrop.tasks.models.image_classifier import ImageClassifier
from regdrop.tasks.sections import ONE_OR_MORE, RATE, check_ranges

GROUPS = 8  # of channels, each normalised on its own


@dataclass(frozen=True, slots=True)
class CNNModel:
    """The `model` section of an image recipe with a convolutional network.

    Attributes:
        classes: how many classes to tell apart.
        image_size: height and width in pixels; other images are resized.
        width: channels of the first block, a multiple of 8; each further block has twice as many.
        depth: number of blocks; each halves height and width.
        channels: 1 for grey, 3 for colour.
        dropout: rate after each block, of whole channels.
        head_dropout: rate before the classifier, of single features.
        architecture: "cnn".

    Raises:
        RecipeError: a number out of range, a width that is no multiple of 8, or more halvings than the pictures allow.
    """

    classes: int
    image_size: int
    width: int
    depth: int
    channels: int = 3
    dropout: float = 0.1
    head_dropout: float = 0.0
    architecture: Literal["cnn"] = "cnn"

    def __post_init__(self) -> None:
        sizes = ("classes", "image_size", "width", "depth", "channels")
        check_ranges("model", self, **dict.fromkeys(sizes, ONE_OR_MORE), dropout=RATE, head_dropout=RATE)
        if self.width % GROUPS:
            raise RecipeError(f"model.width {self.width} is not a multiple of {GROUPS}; pass --model.width {GROUPS}")
        if not self.image_size >> self.depth:
            raise RecipeError(
                f"images of {self.image_size} pixels cannot be halved {self.depth} times; lower --model.depth, or "
                "raise --model.image_size"
            )


class ConvolutionalClassifier(ImageClassifier):
    """Blocks of convolution, pooling, normalisation, ReLU and dropout under one linear layer, which starts at zero.

    It normalises groups of channels within an image. Batch normalisation would let the passes of one forward share
    their statistics, so that the sub-models were no longer drawn independently.

    Args:
        model: its sizes and rates.

    Source: group normalisation, Wu and He, arXiv 1803.08494; dropout of channels, Tompson et al., arXiv 1411.4280.

    Example:
        >>> tiny = CNNModel(classes=10, image_size=8, width=8, depth=2)
        >>> ConvolutionalClassifier(tiny)(torch.zeros(2, 3, 8, 8), torch.tensor([0, 1])).loss
        tensor(2.3026, grad_fn=<DivBackward0>)
    """

    def __init__(self, model: CNNModel) -> None:
        super().__init__()
        widths = [model.channels, *(model.width << block for block in range(model.depth))]
        self.blocks = nn.Sequential(*(_block(before, after, model.dropout) for before, after in pairwise(widths)))
        self.head_drop = nn.Dropout(model.head_dropout)
        self.head = nn.Linear(widths[-1] * (model.image_size >> model.depth) ** 2, model.classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def score(self, pixel_values: Tensor) -> Tensor:
        """Logits `(batch, classes)` of images `(batch, channels, height, width)`."""
        pixels = pixel_values.to(memory_format=torch.channels_last)  # faster on a CPU
        logits: Tensor = self.head(self.head_drop(self.blocks(pixels).flatten(1)))
        return logits


def _block(before: int, after: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, kernel_size=3, padding=1, bias=False),
        nn.MaxPool2d(2),  # first, for the rest costs a quarter then
        nn.GroupNorm(GROUPS, after),
        nn.ReLU(),
        nn.Dropout2d(dropout),
    )
