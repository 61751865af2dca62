"""The models whose training steps are timed, each with a batch of random data, and the official form of a step."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.official import official
from regdrop.studies.cost.step import Workload
from regdrop.studies.cost.timing import Case
from regdrop.tasks.models.vit import ViTModel, build_vit

WORDS, POSITIONS = 8000, 128


@dataclass(frozen=True, slots=True)
class Subject:
    """One model to train.

    Attributes:
        title: headline of its table.
        build: makes it, in train mode.
        batch: `(rows) -> ` its keyword arguments.
        rows: a batch has.
        ways: names of the ways to take a step with it, plain first.
        options: of `attach`.
    """

    title: str
    build: Callable[[], nn.Module]
    batch: Callable[[int], dict[str, Tensor]]
    rows: int
    ways: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)

    def workload(self, rows: int) -> Workload:
        """The model, a batch and an optimizer that leaves the weights where they are."""
        torch.manual_seed(0)
        model = self.build().train()
        parameters = [weight for weight in model.parameters() if weight.requires_grad]
        return Workload(model, self.batch(rows), torch.optim.AdamW(parameters, lr=0.0))


def official_case(work: Workload) -> Case:
    """A step with two forwards and the formula of the paper's README, as its users write it."""

    def step() -> None:
        _official_loss(work.model, work.batch).backward()
        work.optimizer.step()

    return Case(OFFICIAL, step, work.optimizer.zero_grad)


def _official_loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    first, second, labels = model(**inputs).logits, model(**inputs).logits, batch["labels"]
    if labels.ndim == 2:  # of a causal language model
        first, second, labels = first[:, :-1].flatten(0, 1), second[:, :-1].flatten(0, 1), labels[:, 1:].flatten()
    return official(first, second, labels, 1.0)


def _vit() -> nn.Module:
    sizes = {"classes": 10, "image_size": 32, "patch_size": 4, "width": 192, "depth": 6, "heads": 3}
    return build_vit(ViTModel(**sizes, dropout=0.1))


def _late_vit() -> nn.Module:
    """Dropout in the last third of the blocks alone."""
    model: Any = _vit()
    for part in (model.vit.pos_drop, *model.vit.blocks[: len(model.vit.blocks) * 2 // 3]):
        for module in part.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
    return model


def _frozen_vit() -> nn.Module:
    """A frozen backbone without dropout, and a classifier with dropout before it."""
    sizes = {"classes": 10, "image_size": 32, "patch_size": 4, "width": 192, "depth": 6, "heads": 3}
    model: Any = build_vit(ViTModel(**sizes, dropout=0.0, head_dropout=0.1))
    model.requires_grad_(False)
    model.vit.head.requires_grad_(True)
    return model


def _encoder() -> nn.Module:
    from transformers import BertConfig, BertForSequenceClassification

    sizes = {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 1024}
    return BertForSequenceClassification(BertConfig(vocab_size=WORDS, **sizes, num_labels=3))


def _gpt() -> nn.Module:
    from transformers import GPT2Config, GPT2LMHeadModel

    sizes = {"n_embd": 256, "n_layer": 4, "n_head": 4, "n_positions": POSITIONS}
    return GPT2LMHeadModel(GPT2Config(vocab_size=WORDS, **sizes, bos_token_id=0, eos_token_id=0))


def _images(rows: int) -> dict[str, Tensor]:
    return {"pixel_values": torch.randn(rows, 3, 32, 32), "labels": torch.randint(10, (rows,))}


def _sentences(rows: int) -> dict[str, Tensor]:
    return {"input_ids": torch.randint(WORDS, (rows, POSITIONS)), "labels": torch.randint(3, (rows,))}


def _text(rows: int) -> dict[str, Tensor]:
    tokens = torch.randint(WORDS, (rows, POSITIONS))
    return {"input_ids": tokens, "labels": tokens.clone()}


OFFICIAL = "official"
ALL = ("plain", "concat", "halved", "sequential", "replay", "twins")
SPLIT = ("plain", "concat", "shared")
VIT, TEXT = "width 192, 6 blocks, images of 32 x 32 in patches of 4", f"width 256, 4 layers, {POSITIONS} tokens a row"
SUBJECTS = {
    "vit": Subject(f"ViT, {VIT}", _vit, _images, 64, (*ALL, OFFICIAL)),
    "vit-late": Subject("The same ViT, dropout in its last third alone", _late_vit, _images, 64, SPLIT),
    "vit-frozen": Subject("The same ViT, frozen, dropout before the classifier", _frozen_vit, _images, 64, SPLIT),
    "encoder": Subject(f"Encoder (BERT), {TEXT}", _encoder, _sentences, 8, (*ALL, "head", OFFICIAL)),
    "gpt": Subject(f"GPT, {TEXT}, {WORDS:,} words", _gpt, _text, 8, (*ALL, OFFICIAL), {"fused_head": False}),
    "gpt-fused": Subject("The same GPT, its output layer fused with the loss", _gpt, _text, 8, ALL),
}
