"""Models whose noise starts late: what precedes it is the same in every pass."""

from dataclasses import dataclass, replace

import timm
import torch
from torch import nn

from passes.tiny import BY_NAME
from regdrop.passes.dropout import noise_sources

TWO_LAYERS = {"num_layers": 2, "encoder_layers": 2, "decoder_layers": 2}


def keep_noise(model, *names):
    """Switch all noise off but that of the modules with one of these texts in their name."""
    for source in noise_sources(model):
        if not any(name in source.name for name in names):
            setattr(model.get_submodule(source.name), source.attribute, 0.0)
    return model


@dataclass(frozen=True)
class LateCase:
    """A transformers head with noise from somewhere on, and the module where the passes part."""

    name: str
    noisy: tuple
    split: str

    @property
    def case(self):
        case = BY_NAME[self.name]
        return replace(case, config=case.config | {key: 2 for key in TWO_LAYERS if key in case.config})

    def model(self):
        return keep_noise(self.case.model(), *self.noisy)

    def batch(self, rows, seed=0):
        return self.case.batch(rows, seed)


LATE = [
    LateCase("BERT sequence classification", ("layer.1.", "classifier"), "bert.encoder.layer.1.attention.self"),
    LateCase("BERT regression", ("layer.1.output",), "bert.encoder.layer.1.output"),
    LateCase("BERT token classification", ("layer.1.",), "bert.encoder.layer.1.attention.self"),
    LateCase("BERT masked LM", ("layer.1.",), "bert.encoder.layer.1.attention.self"),
    LateCase("BERT question answering", ("layer.1.",), "bert.encoder.layer.1.attention.self"),
    LateCase("RoBERTa sequence classification", ("classifier",), "classifier.dropout"),
    LateCase("ModernBERT sequence class.", ("layers.1.",), "model.layers.1"),
    LateCase("GPT-2 causal LM", ("h.1.",), "transformer.h.1"),
    LateCase("Llama causal LM", ("layers.1.",), "model.layers.1"),
    LateCase("T5 seq2seq", ("decoder.block.1.",), "decoder.block.1.layer.0"),
    LateCase("T5 seq2seq", ("encoder.block.1.", "decoder"), "encoder.block.1.layer.0"),
    LateCase("BART seq2seq", ("decoder.layers.1",), "model.decoder.layers.1"),
    LateCase("Marian seq2seq", ("encoder.layers.1", "decoder"), "model.encoder.layers.1"),
    LateCase("ViT image classification", ("layers.1.",), "vit.layers.1"),
]


def late_vit(dtype=torch.float32, depth=6):
    """A timm ViT with dropout in the last third of its blocks and before its classifier."""
    torch.manual_seed(0)
    model = timm.models.VisionTransformer(
        img_size=16, patch_size=4, num_classes=5, embed_dim=16, depth=depth, num_heads=2, proj_drop_rate=0.3
    )
    early = [f"blocks.{block}." for block in range(depth - depth // 3)]
    for source in noise_sources(model):
        if source.name.startswith(tuple(early)):
            setattr(model.get_submodule(source.name), source.attribute, 0.0)
    model.head_drop.p = 0.5
    return model.to(dtype)


def chain(dtype=torch.float32):
    """Linear layers, an operation in place, BatchNorm; the noise starts at module 5."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(inplace=True), nn.Linear(16, 16), nn.ReLU(inplace=True),
        nn.Dropout(0.5), nn.Linear(16, 16), nn.Tanh(), nn.Dropout(0.3), nn.Linear(16, 3),
    ).to(dtype)  # fmt: skip
