"""The language model that a recipe describes, from transformers' classes."""

from dataclasses import dataclass
from typing import Literal

from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel, XGLMConfig, XGLMForCausalLM

from regdrop.errors import RecipeError
from regdrop.tasks.models.adaptive import FACTOR, AdaptiveForCausalLM
from regdrop.tasks.models.initial_weights import start_as_fairseq
from regdrop.tasks.sections import ONE_OR_MORE, RATE, check_ranges
from regdrop.tasks.tokens.bpe import EOS


@dataclass(frozen=True, slots=True)
class CausalModel:
    """The `model` section of a language-modelling recipe.

    Attributes:
        vocabulary: how many tokens there are, special ones included.
        width: of the hidden states.
        depth: number of layers.
        heads: attention heads a layer.
        positions: the longest window in tokens, the first included: `data.block` + 1 or `data.window` + 1.
        architecture: "gpt2" has learned positions; "transformer" is fairseq's decoder, normalised before each layer,
            with sinusoidal positions; "adaptive" the same with adaptive input and softmax.
        feed_forward: width inside the feed-forward layers; None: four times `width`.
        activation: inside the feed-forward layers.
        dropout: rate after the embeddings and after every layer.
        attention_dropout: rate on the attention probabilities.
        activation_dropout: rate inside the feed-forward layers; GPT-2 has none.
        cutoffs: "adaptive" only: the first word of every band but the first, `20000,60000`.
        softmax_dropout: "adaptive" only: rate in the adaptive softmax.

    Raises:
        RecipeError: a number out of range, or sizes that do not fit together.
    """

    vocabulary: int
    width: int
    depth: int
    heads: int
    positions: int
    architecture: Literal["gpt2", "transformer", "adaptive"] = "gpt2"
    feed_forward: int | None = None
    activation: Literal["gelu", "relu"] = "gelu"
    dropout: float = 0.1
    attention_dropout: float = 0.1
    activation_dropout: float = 0.0
    cutoffs: str | None = None
    softmax_dropout: float = 0.0

    def __post_init__(self) -> None:
        sizes = ("vocabulary", "width", "depth", "heads", "positions", "feed_forward")
        rates = ("dropout", "attention_dropout", "activation_dropout", "softmax_dropout")
        check_ranges("model", self, **dict.fromkeys(sizes, ONE_OR_MORE), **dict.fromkeys(rates, RATE))
        if self.width % self.heads:
            raise RecipeError(f"model.width {self.width} is not a multiple of model.heads {self.heads}; change one")
        if self.architecture == "gpt2" and self.activation_dropout:
            raise RecipeError(
                "model.activation_dropout is not for gpt2; leave it 0, or --model.architecture transformer"
            )
        if self.architecture == "adaptive":
            self._check_bands()

    @property
    def bands(self) -> list[int]:
        """The cut-offs as numbers.

        Raises:
            RecipeError: they are not numbers.
        """
        try:
            return [int(cutoff) for cutoff in (self.cutoffs or "").split(",")]
        except ValueError:
            wanted = "model.cutoffs must be whole numbers such as 20000,60000"
            given = self.cutoffs and self.cutoffs[:40]
            raise RecipeError(f"{wanted}, but is {given!r}; pass --model.cutoffs") from None

    def _check_bands(self) -> None:
        edges = [0, *self.bands, self.vocabulary]
        if edges != sorted(set(edges)):
            raise RecipeError(
                f"model.cutoffs {str(self.cutoffs)[:40]} must rise and stay below model.vocabulary "
                f"{self.vocabulary}; change one"
            )
        if self.width < FACTOR ** len(self.bands):
            raise RecipeError(
                f"model.width {self.width} leaves nothing of the last band, each being {FACTOR} times as narrow as the "
                "one before; raise --model.width, or take fewer --model.cutoffs"
            )


def build_causal_lm(model: CausalModel) -> nn.Module:
    """Build the network with random weights, input and output embeddings tied.

    Example:
        >>> import torch
        >>> network = build_causal_lm(CausalModel(vocabulary=50, width=16, depth=1, heads=2, positions=9))
        >>> tokens = torch.tensor([[5, 6, 2]])
        >>> network(input_ids=tokens, labels=tokens).logits.shape
        torch.Size([1, 3, 50])
    """
    network: nn.Module = _gpt2(model) if model.architecture == "gpt2" else _decoder(model)
    return network


def _decoder(model: CausalModel) -> XGLMForCausalLM:
    """The decoder of fairseq, with its initial weights."""
    config = _decoder_config(model)
    if model.architecture == "adaptive":
        network = AdaptiveForCausalLM(config, model.bands, model.softmax_dropout)
    else:
        network = XGLMForCausalLM(config)
        nn.init.normal_(network.model.embed_tokens.weight, std=model.width**-0.5)
    start_as_fairseq(network.model.layers)
    return network


def _gpt2(model: CausalModel) -> GPT2LMHeadModel:
    config = GPT2Config(
        vocab_size=model.vocabulary,
        n_positions=model.positions,
        n_embd=model.width,
        n_layer=model.depth,
        n_head=model.heads,
        n_inner=model.feed_forward,
        activation_function=model.activation,
        resid_pdrop=model.dropout,
        embd_pdrop=model.dropout,
        attn_pdrop=model.attention_dropout,
        bos_token_id=EOS,
        eos_token_id=EOS,
        use_cache=False,
    )
    network = GPT2LMHeadModel(config)
    network.loss_type = "ForCausalLM"  # its class leaves it open and warns of it
    return network


def _decoder_config(model: CausalModel) -> XGLMConfig:
    return XGLMConfig(
        vocab_size=model.vocabulary,
        max_position_embeddings=model.positions,
        d_model=model.width,
        ffn_dim=model.feed_forward or 4 * model.width,
        num_layers=model.depth,
        attention_heads=model.heads,
        activation_function=model.activation,
        dropout=model.dropout,
        attention_dropout=model.attention_dropout,
        activation_dropout=model.activation_dropout,
        scale_embedding=True,
        bos_token_id=EOS,
        eos_token_id=EOS,
        pad_token_id=None,  # windows are filled up on the right, where a causal model does not look
        use_cache=False,
        tie_word_embeddings=model.architecture == "transformer",
    )
