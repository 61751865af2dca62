"""The shapes of the published ViTs, held against timm's models and Google's tables, without a byte of weights."""

import pytest
import torch

from regdrop.checkpoints.geometry import Geometry, measure
from regdrop.checkpoints.naming import GOOGLE, OFFICIAL, PADDLE, TIMM, Naming
from regdrop.errors import CheckpointError

PUBLISHED = {
    "vit_base_patch16_224": Geometry(768, 12, 3072, 12, channels=3, patch=16, tokens=197, classes=1000),
    "vit_base_patch32_224": Geometry(768, 12, 3072, 12, channels=3, patch=32, tokens=50, classes=1000),
    "vit_large_patch16_224": Geometry(1024, 24, 4096, 16, channels=3, patch=16, tokens=197, classes=1000),
    "vit_large_patch32_224": Geometry(1024, 24, 4096, 16, channels=3, patch=32, tokens=50, classes=1000),
    "vit_huge_patch14_224": Geometry(1280, 32, 5120, 16, channels=3, patch=14, tokens=257, classes=1000),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_vits_have_the_keys_and_shapes_of_timm(name):
    import timm

    with torch.device("meta"):
        own = timm.create_model(name, num_classes=1000).state_dict()
    assert PUBLISHED[name].file_shapes(Naming(TIMM)) == {key: weight.shape for key, weight in own.items()}


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("layout", [TIMM, OFFICIAL, PADDLE, GOOGLE], ids=lambda layout: layout.name)
def test_sizes_are_measured_on_weights_without_memory(name, layout):
    naming = Naming(layout, "module.")
    shapes = PUBLISHED[name].file_shapes(naming)
    weights = {key: torch.zeros(()).expand(shape) for key, shape in shapes.items()}
    measured = measure(weights, naming)
    assert measured.file_shapes(naming) == shapes
    assert measured.depth == PUBLISHED[name].depth
    assert measured.heads == (PUBLISHED[name].heads if layout.heads_apart else 1)


def test_the_shapes_of_googles_b_16():
    """As the loader of the official code reshapes them."""
    shapes = PUBLISHED["vit_base_patch16_224"].file_shapes(Naming(GOOGLE))
    attention = "Transformer/encoderblock_11/MultiHeadDotProductAttention_1"
    assert len(shapes) == 4 + 12 * 16 + 2 + 2
    assert shapes["embedding/kernel"] == (16, 16, 3, 768)
    assert shapes["Transformer/posembed_input/pos_embedding"] == (1, 197, 768)
    assert shapes[f"{attention}/query/kernel"] == (768, 12, 64)
    assert shapes[f"{attention}/value/bias"] == (12, 64)
    assert shapes[f"{attention}/out/kernel"] == (12, 64, 768)
    assert shapes["Transformer/encoderblock_0/MlpBlock_3/Dense_0/kernel"] == (768, 3072)
    assert shapes["head/kernel"] == (768, 1000)


def test_the_shapes_of_paddles_b_16():
    shapes = PUBLISHED["vit_base_patch16_224"].file_shapes(Naming(PADDLE))
    assert shapes["blocks.0.attn.qkv.weight"] == (768, 2304)
    assert shapes["blocks.0.mlp.fc1.weight"] == (768, 3072)
    assert shapes["patch_embed.proj.weight"] == (768, 3, 16, 16)
    assert shapes["head.weight"] == (768, 1000)


def test_sizes_whose_products_would_overflow_are_refused():
    naming = Naming(TIMM)
    vast = Geometry(1 << 25, 1, 1, 1, channels=1, patch=1, tokens=2, classes=1)
    weights = {key: torch.zeros(()).expand(shape) for key, shape in vast.file_shapes(naming).items()}
    with pytest.raises(CheckpointError, match="has a size over 16,777,216"):
        measure(weights, naming)
