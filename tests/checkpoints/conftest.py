"""A tiny ViT with random weights everywhere, as a state under timm's names and as a model of timm's."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

import vit_reference as tiny
from regdrop.checkpoints.vit import load_vit


@pytest.fixture
def npz(tmp_path):
    path = tmp_path / "google.npz"
    np.savez(path, **tiny.google_arrays())
    return path


@pytest.fixture
def state(npz):
    return load_vit(npz)


@pytest.fixture
def build():
    """timm's VisionTransformer at the tiny size; keywords replace sizes."""
    from timm.models.vision_transformer import VisionTransformer

    sizes = {"img_size": tiny.SIDE, "patch_size": tiny.PATCH, "embed_dim": tiny.WIDTH, "depth": tiny.DEPTH}
    sizes |= {"num_heads": tiny.HEADS, "mlp_ratio": tiny.HIDDEN / tiny.WIDTH, "num_classes": tiny.CLASSES}
    sizes |= {"norm_layer": partial(nn.LayerNorm, eps=1e-6)}
    return lambda **changes: VisionTransformer(**(sizes | changes)).eval()


@pytest.fixture
def logits(build):
    """What timm's model computes on the test image with a state."""

    def compute(state, **changes):
        model = build(**changes)
        model.load_state_dict(state)
        with torch.no_grad():
            return model(tiny.image())

    return compute
