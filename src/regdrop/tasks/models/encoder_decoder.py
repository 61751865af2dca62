"""The encoder-decoder that a recipe describes, from transformers' classes: fairseq's Transformer or BART."""

from dataclasses import dataclass
from typing import Any, Literal

from torch import nn
from transformers import BartConfig, BartForConditionalGeneration, GenerationConfig, MarianConfig, MarianMTModel

from regdrop.errors import RecipeError
from regdrop.tasks.models.initial_weights import start_as_fairseq
from regdrop.tasks.models.pretrained import load_encoder
from regdrop.tasks.sections import ONE_OR_MORE, RATE, ZERO_OR_MORE, check_ranges
from regdrop.tasks.tokens.bpe import BOS, EOS, PAD


@dataclass(frozen=True, slots=True)
class EncoderDecoderModel:
    """The `model` section of a translation or summarization recipe.

    Attributes:
        vocabulary: size of the one vocabulary that source, target and output layer share.
        width: of the hidden states.
        feed_forward: width inside the feed-forward layers.
        layers: of the encoder, and as many of the decoder.
        heads: attention heads a layer.
        positions: the longest text in tokens.
        architecture: "transformer" is the original one (normalisation after each layer, sinusoidal positions, ReLU),
            "bart" has learned positions, normalised embeddings and GELU.
        dropout: rate after the embeddings and after every layer.
        attention_dropout: rate on the attention probabilities.
        activation_dropout: rate inside the feed-forward layers.
        pretrained: "bart" only: weights and tokenizer to start from, a hub name or a folder; null learns both.
        beams: of the beam search that writes the output.
        length_penalty: the sum of the log-probabilities is divided by the length to this power.
        max_output: longest output in tokens, as far as `positions` allows it.
        min_output: shortest output in tokens.
        no_repeat: no sequence of so many tokens occurs twice in an output; 0 allows it.

    Raises:
        RecipeError: a number out of range, or settings that do not fit together.
    """

    vocabulary: int
    width: int
    feed_forward: int
    layers: int
    heads: int
    positions: int = 1024
    architecture: Literal["transformer", "bart"] = "transformer"
    dropout: float = 0.1
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0
    pretrained: str | None = None
    beams: int = 5
    length_penalty: float = 1.0
    max_output: int = 200
    min_output: int = 0
    no_repeat: int = 0

    def __post_init__(self) -> None:
        sizes = ("vocabulary", "width", "feed_forward", "layers", "heads", "positions", "beams", "max_output")
        rates = ("dropout", "attention_dropout", "activation_dropout")
        amounts = ("length_penalty", "min_output", "no_repeat")
        ranges = {ONE_OR_MORE: sizes, RATE: rates, ZERO_OR_MORE: amounts}
        check_ranges("model", self, **{key: limits for limits, keys in ranges.items() for key in keys})
        if self.width % self.heads:
            raise RecipeError(f"model.width {self.width} is not a multiple of model.heads {self.heads}; change one")
        if self.min_output > self.max_output:
            raise RecipeError(
                f"model.min_output {self.min_output} is over model.max_output {self.max_output}; change one"
            )
        if self.pretrained and self.architecture != "bart":
            raise RecipeError(
                f"model.pretrained {self.pretrained} needs model.architecture bart; leave one of them out"
            )


def build_encoder_decoder(model: EncoderDecoderModel) -> nn.Module:
    """Build the network with random weights; it carries the settings of its beam search as `generation_config`.

    Example:
        >>> import torch
        >>> sizes = dict(vocabulary=300, width=16, feed_forward=32, layers=1, heads=2, positions=32)
        >>> network = build_encoder_decoder(EncoderDecoderModel(**sizes))
        >>> ids = torch.tensor([[5, 6, 2]])
        >>> network(input_ids=ids, labels=ids).logits.shape
        torch.Size([1, 3, 300])
    """
    network: nn.Module = _transformer(model) if model.architecture == "transformer" else _bart(model)
    network.generation_config = _generation(model)
    return network


def _transformer(model: EncoderDecoderModel) -> MarianMTModel:
    """Marian's class, which is the original Transformer, with the initial weights of fairseq's."""
    network = MarianMTModel(MarianConfig(activation_function="relu", scale_embedding=True, **_sizes(model)))
    embeddings = network.get_input_embeddings()
    nn.init.normal_(embeddings.weight, std=model.width**-0.5)
    nn.init.zeros_(embeddings.weight[PAD])
    start_as_fairseq(network.model)
    return network


def _bart(model: EncoderDecoderModel) -> BartForConditionalGeneration:
    return BartForConditionalGeneration(BartConfig(activation_function="gelu", scale_embedding=False, **_sizes(model)))


def _sizes(model: EncoderDecoderModel) -> dict[str, Any]:
    halves = {
        f"{half}_{name}": value
        for half in ("encoder", "decoder")
        for name, value in (
            ("layers", model.layers),
            ("attention_heads", model.heads),
            ("ffn_dim", model.feed_forward),
        )
    }
    ids = {"bos_token_id": BOS, "pad_token_id": PAD, "eos_token_id": EOS, "decoder_start_token_id": EOS}
    return {
        **halves,
        **ids,
        "vocab_size": model.vocabulary,
        "d_model": model.width,
        "max_position_embeddings": model.positions,
        "dropout": model.dropout,
        "attention_dropout": model.attention_dropout,
        "activation_dropout": model.activation_dropout,
        "forced_eos_token_id": None,
    }


def _generation(model: EncoderDecoderModel) -> GenerationConfig:
    return GenerationConfig(
        num_beams=model.beams,
        length_penalty=model.length_penalty if model.beams > 1 else 1.0,
        early_stopping=model.beams > 1,
        max_new_tokens=min(model.max_output, model.positions - 1),
        min_new_tokens=model.min_output or None,
        no_repeat_ngram_size=model.no_repeat,
        forced_bos_token_id=BOS if model.pretrained else None,  # BART's own texts begin with <s>
        suppress_tokens=[PAD],
        bos_token_id=BOS,
        pad_token_id=PAD,
        eos_token_id=EOS,
        decoder_start_token_id=EOS,
    )


def load_pretrained(network: nn.Module, model: EncoderDecoderModel) -> None:
    """Start from the weights that a recipe names, if any.

    Args:
        network: from `build_encoder_decoder`.
        model: names a model of the hub or a folder with `config.json` and `model.safetensors`.

    Raises:
        CheckpointError: they are missing, damaged or of other sizes.
    """
    if model.pretrained is not None:
        load_encoder(network, model.pretrained)
