"""A pretrained ViT fitted to another image size, to other classes, or to query, key and value with a bias."""

import math

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from regdrop.checkpoints.geometry import measure
from regdrop.checkpoints.naming import HEAD, HEAD_BIAS, PATCHES, POSITIONS, QKV, QKV_BIAS, TIMM, Naming
from regdrop.checkpoints.refusals import StateDict
from regdrop.errors import CheckpointError, InputError


def resize_positions(positions: Tensor, tokens: int) -> Tensor:
    """Position embeddings for another number of patches: bilinear with the corners kept, the class token as it is.

    This is what the original ViT does with `scipy.ndimage.zoom(grid, order=1)`; the patches lie in a square.

    Args:
        positions: `(1, 1 + patches, width)`.
        tokens: wanted, 1 + patches.

    Returns:
        `(1, tokens, width)`.

    Raises:
        CheckpointError: the patches, there or wanted, do not fill a square.

    Source:
        Dosovitskiy et al. 2021, section 3.2; the official R-Drop code resizes so when it loads a checkpoint.

    Example:
        >>> positions = torch.tensor([9.0, 0, 1, 2, 3]).view(1, 5, 1)
        >>> resize_positions(positions, 10).flatten().tolist()
        [9.0, 0.0, 0.5, 1.0, 1.0, 1.5, 2.0, 2.0, 2.5, 3.0]
    """
    if positions.shape[1] == tokens:
        return positions
    old, new = _side(positions.shape[1]), _side(tokens)
    grid = positions[:, 1:].transpose(1, 2).reshape(1, -1, old, old)
    grid = interpolate(grid, size=(new, new), mode="bilinear", align_corners=True)
    return torch.cat([positions[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)


def with_image_size(state: StateDict, image_size: int) -> StateDict:
    """The ViT for square images of another size.

    Args:
        state: of a ViT, under timm's names.
        image_size: side of the image in pixels, a multiple of the patch.

    Raises:
        InputError: the size is no multiple of the patch.
        CheckpointError: the patches of the checkpoint do not fill a square.

    Example:
        >>> from timm.models.vision_transformer import VisionTransformer
        >>> vit = VisionTransformer(img_size=32, patch_size=16, embed_dim=8, depth=1, num_heads=2)
        >>> with_image_size(vit.state_dict(), 64)["pos_embed"].shape
        torch.Size([1, 17, 8])
    """
    patch = state[PATCHES.timm].shape[-1]
    if image_size < patch or image_size % patch:
        raise InputError(f"image size {image_size} is no multiple of the patch of {patch} pixels; try {patch * 14}")
    return state | {POSITIONS.timm: resize_positions(state[POSITIONS.timm], 1 + (image_size // patch) ** 2)}


def with_new_head(state: StateDict, classes: int) -> StateDict:
    """The ViT with a head of zeros for so many classes, as the original starts fine-tuning.

    Args:
        state: of a ViT, under timm's names, with or without a head.
        classes: at least 1.

    Raises:
        InputError: fewer than one class.

    Example:
        >>> with_new_head({"patch_embed.proj.weight": torch.ones(8, 3, 16, 16)}, 100)["head.weight"].shape
        torch.Size([100, 8])
    """
    if classes < 1:
        raise InputError(f"a head for {classes} classes is none; ask for at least 1")
    width = state[PATCHES.timm].shape[0]
    return state | {HEAD.timm: torch.zeros(classes, width), HEAD_BIAS.timm: torch.zeros(classes)}


def with_qkv_bias(state: StateDict) -> StateDict:
    """The same ViT with a bias for query, key and value: zeros where it has none, which changes nothing."""
    geometry = measure(state, Naming(TIMM))
    biases = {Naming(TIMM).names(QKV_BIAS, block)[0]: geometry.shape(QKV)[:1] for block in range(geometry.depth)}
    return state | {name: torch.zeros(shape) for name, shape in biases.items() if name not in state}


def _side(tokens: int) -> int:
    side = math.isqrt(tokens - 1)
    if side < 1 or side * side != tokens - 1:
        raise CheckpointError(
            f"key {POSITIONS.timm!r} has {tokens - 1} patches, which do not fill a square; it is not resized"
        )
    return side
