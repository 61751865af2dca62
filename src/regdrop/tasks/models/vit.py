"""The Vision Transformer (arXiv 2010.11929) as a recipe describes it, with a classification loss."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from regdrop.checkpoints.model import load_into
from regdrop.checkpoints.refusals import named
from regdrop.checkpoints.vit import load_vit
from regdrop.errors import CheckpointError, RecipeError
from regdrop.tasks.models.image_classifier import ImageClassifier
from regdrop.tasks.sections import ONE_OR_MORE, RATE, check_ranges


@dataclass(frozen=True, slots=True)
class ViTModel:
    """The `model` section of an image recipe with a Vision Transformer.

    Attributes:
        classes: how many classes to tell apart.
        image_size: height and width in pixels; other images are resized.
        channels: 1 for grey, 3 for colour.
        patch_size: height and width of a patch in pixels.
        width: of the hidden states.
        depth: number of blocks.
        heads: attention heads a block.
        mlp_ratio: width of the MLP over `width`.
        dropout: rate where the original ViT drops: after the position embedding and twice in each MLP.
        attention_output_dropout: rate after the attention's output projection; the original ViT has none.
        attention_dropout: rate on the attention probabilities; the original ViT has none.
        drop_path: rate of stochastic depth in the last block, growing linearly from the first.
        head_dropout: rate before the classifier.
        pretrained: file of weights to start from, in any format of `load_vit`; null starts from random ones.
        architecture: "vit".

    Raises:
        RecipeError: a number out of range, or sizes that do not divide.
    """

    classes: int
    image_size: int
    patch_size: int
    width: int
    depth: int
    heads: int
    channels: int = 3
    mlp_ratio: float = 4.0
    dropout: float = 0.1
    attention_output_dropout: float = 0.0
    attention_dropout: float = 0.0
    drop_path: float = 0.0
    head_dropout: float = 0.0
    pretrained: str | None = None
    architecture: Literal["vit"] = "vit"

    def __post_init__(self) -> None:
        sizes = ("classes", "image_size", "channels", "patch_size", "width", "depth", "heads")
        rates = ("dropout", "attention_output_dropout", "attention_dropout", "drop_path", "head_dropout")
        check_ranges("model", self, **dict.fromkeys(sizes, ONE_OR_MORE), **dict.fromkeys(rates, RATE))
        _check_multiple(self, "image_size", "patch_size")
        _check_multiple(self, "width", "heads")


class ViTClassifier(ImageClassifier):
    """A Vision Transformer that classifies images.

    Args:
        vit: maps `(batch, channels, height, width)` to logits `(batch, classes)`.
    """

    def __init__(self, vit: VisionTransformer) -> None:
        super().__init__()
        self.vit = vit

    def score(self, pixel_values: Tensor) -> Tensor:
        """Logits `(batch, classes)` of images `(batch, channels, height, width)`."""
        logits: Tensor = self.vit(pixel_values)
        return logits


def build_vit(model: ViTModel) -> ViTClassifier:
    """Build the network with the original's random weights and a classifier of zeros, so that it starts undecided.

    Example:
        >>> import torch
        >>> tiny = ViTModel(classes=10, image_size=8, patch_size=4, width=16, depth=1, heads=2)
        >>> build_vit(tiny)(torch.zeros(2, 3, 8, 8), torch.tensor([0, 1])).loss
        tensor(2.3026, grad_fn=<DivBackward0>)
    """
    vit = VisionTransformer(
        img_size=model.image_size,
        patch_size=model.patch_size,
        in_chans=model.channels,
        num_classes=model.classes,
        embed_dim=model.width,
        depth=model.depth,
        num_heads=model.heads,
        mlp_ratio=model.mlp_ratio,
        drop_rate=model.head_dropout,
        pos_drop_rate=model.dropout,
        proj_drop_rate=model.dropout,
        attn_drop_rate=model.attention_dropout,
        drop_path_rate=model.drop_path,
        weight_init="jax",  # the original's: Xavier, and a head of zeros
    )
    for block in vit.blocks:  # timm's one rate covers the MLP and the attention's output; the original ViT's does not
        block.attn.proj_drop.p = model.attention_output_dropout
    return ViTClassifier(vit)


def load_pretrained(network: nn.Module, model: ViTModel) -> None:
    """Start from the weights that a recipe names, if any: all of them but the classifier, which stays as it is.

    Position embeddings are resized to the recipe's `image_size`.

    Args:
        network: from `build_vit`.
        model: names the file.

    Raises:
        CheckpointError: the file is missing, damaged, hostile, or of a ViT with other sizes.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from regdrop.checkpoints.vit import save_vit
        >>> sizes = dict(classes=10, image_size=8, patch_size=4, width=16, depth=1, heads=2)
        >>> first = build_vit(ViTModel(**sizes))
        >>> with TemporaryDirectory() as folder:
        ...     save_vit(first.state_dict(), f"{folder}/first.pdparams")
        ...     model = ViTModel(**sizes, pretrained=f"{folder}/first.pdparams")
        ...     second = build_vit(model)
        ...     load_pretrained(second, model)
        >>> bool((second.vit.cls_token == first.vit.cls_token).all())
        True
    """
    if model.pretrained is None:
        return
    path = Path(model.pretrained)
    if not path.is_file():
        raise CheckpointError(
            f"no pretrained weights {path}; ViT-B_16.npz, ViT-L_16.npz and others are in the imagenet21k folder of "
            "Google's public vit_models storage: pass --model.pretrained FILE, or --model.pretrained null to train "
            "from scratch"
        )
    state = load_vit(path)
    with named(path):
        load_into(network, state, new_head=True)


def _check_multiple(model: ViTModel, key: str, divisor: str) -> None:
    whole, part = getattr(model, key), getattr(model, divisor)
    if whole % part:
        raise RecipeError(f"model.{key} {whole} is not a multiple of model.{divisor} {part}; change one of them")
