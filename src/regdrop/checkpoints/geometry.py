"""The sizes of a ViT, measured on its weights, and the shapes that follow from them for every other weight."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from regdrop.checkpoints.naming import (
    BLOCK_ROWS,
    EMBEDDING_ROWS,
    HEAD,
    HEAD_ROWS,
    HIDDEN,
    NORM_ROWS,
    PATCHES,
    POSITIONS,
    QKV,
    QKV_BIAS,
    Naming,
    Row,
)
from regdrop.checkpoints.refusals import shown
from regdrop.errors import CheckpointError


@dataclass(frozen=True, slots=True)
class Geometry:
    """The sizes of a ViT.

    Attributes:
        width: of a token.
        depth: number of blocks.
        hidden: width inside the MLP.
        heads: of the attention; 1 where the file's shapes do not depend on it.
        channels: of the image.
        patch: side of a patch in pixels.
        tokens: patches of an image and the class token.
        classes: of the head; None where there is no head.
        qkv_bias: whether query, key and value have a bias.
    """

    width: int
    depth: int
    hidden: int
    heads: int
    channels: int
    patch: int
    tokens: int
    classes: int | None
    qkv_bias: bool = True

    def rows(self) -> Iterator[tuple[Row, int]]:
        """Every weight of the ViT with the number of its block, in timm's order."""
        yield from ((row, 0) for row in EMBEDDING_ROWS)
        blocks = [row for row in BLOCK_ROWS if self.qkv_bias or row is not QKV_BIAS]
        yield from ((row, block) for block in range(self.depth) for row in blocks)
        yield from ((row, 0) for row in NORM_ROWS)
        if self.classes is not None:
            yield from ((row, 0) for row in HEAD_ROWS)

    def shape(self, row: Row) -> torch.Size:
        """The canonical shape of a weight.

        Example:
            >>> b16 = Geometry(768, 12, 3072, heads=12, channels=3, patch=16, tokens=197, classes=1000)
            >>> b16.shape(QKV)
            torch.Size([2304, 768])
        """
        sizes = {"1": 1, "D": self.width, "3D": 3 * self.width, "M": self.hidden, "C": self.channels}
        sizes |= {"P": self.patch, "T": self.tokens, "K": self.classes or 0}
        return torch.Size(sizes[size] for size in row.shape.split())

    def file_shapes(self, naming: Naming) -> dict[str, torch.Size]:
        """Every key that a file of this naming has for this ViT, and its shape there."""
        shapes: dict[str, torch.Size] = {}
        for row, block in self.rows():
            weight = torch.empty(self.shape(row), device="meta")
            parts = naming.layout.transforms[row.kind].write(weight, self.heads)
            shapes |= {name: part.shape for name, part in zip(naming.names(row, block), parts, strict=True)}
        return shapes


_LARGEST = 1 << 24  # no product of two sizes overflows
_ONE = Geometry(1, 1, 1, heads=1, channels=1, patch=1, tokens=1, classes=1)


def measure(weights: Mapping[str, Tensor], naming: Naming) -> Geometry:
    """The sizes of the ViT whose weights these are.

    Args:
        weights: under the file's names.
        naming: of the file.

    Raises:
        CheckpointError: a weight that says a size is missing or has another number of dimensions.
    """
    width, channels, patch, _ = _canonical_shape(weights, naming, PATCHES)
    query = naming.names(QKV)[0]
    geometry = Geometry(
        width=width,
        depth=naming.depth(weights),
        hidden=_canonical_shape(weights, naming, HIDDEN)[0],
        heads=_file_shape(weights, naming, query)[1] if naming.layout.heads_apart else 1,
        channels=channels,
        patch=patch,
        tokens=_canonical_shape(weights, naming, POSITIONS)[1],
        classes=_canonical_shape(weights, naming, HEAD)[0] if naming.names(HEAD)[0] in weights else None,
        qkv_bias=naming.layout.needs_qkv_bias or naming.names(QKV_BIAS)[0] in weights,
    )
    if max(width, geometry.hidden, geometry.tokens, geometry.classes or 0) > _LARGEST:
        raise CheckpointError(f"has a size over {_LARGEST:,}: {geometry}")
    if width % geometry.heads:
        raise CheckpointError(f"key {shown(query)} has {geometry.heads} heads, which do not divide the width {width}")
    return geometry


def _canonical_shape(weights: Mapping[str, Tensor], naming: Naming, row: Row) -> torch.Size:
    shapes = [_file_shape(weights, naming, name) for name in naming.names(row)]
    parts = [torch.empty(shape, device="meta") for shape in shapes]
    return naming.layout.transforms[row.kind].read(parts).shape


def _file_shape(weights: Mapping[str, Tensor], naming: Naming, name: str) -> torch.Size:
    """The shape of a weight in the file, with as many dimensions as the layout gives it and none of them empty."""
    if name not in weights:
        raise CheckpointError(f"key {shown(name)} is missing")
    shape, dimensions = weights[name].shape, len(_ONE.file_shapes(naming)[name])
    if len(shape) != dimensions or 0 in shape:
        raise CheckpointError(f"key {shown(name)} has shape {tuple(shape)}, but needs {dimensions} dimensions")
    return shape
