"""Adaptive input and adaptive softmax: rare words get narrow embeddings, shared by both ends of a language model."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import XGLMConfig, XGLMForCausalLM

from regdrop.losses.chunked import chunked_r_drop_loss
from regdrop.losses.rdrop import RDropOutput
from regdrop.losses.shapes import Float, Int

FACTOR = 4  # each band of words is narrower than the one before by this


class AdaptiveInput(nn.Module):
    """Embeds words in bands of falling frequency, the rarer the narrower, all projected to one width.

        x_w = sqrt(width) * P_b e_w,   e_w of width / 4^b entries for a word of band b

    Args:
        edges: the first word of every band, and the number of words: `(0, 20000, 60000, vocabulary)`.
        width: of the result.

    Source: Baevski and Auli, arXiv 1809.10853; initial weights as in fairseq.

    Example:
        >>> AdaptiveInput((0, 2, 6), width=8)(torch.tensor([[0, 5, 1]])).shape
        torch.Size([1, 3, 8])
    """

    def __init__(self, edges: Sequence[int], width: int) -> None:
        super().__init__()
        self.edges = tuple(edges)
        self.width = width
        widths = [width // FACTOR**band for band in range(len(edges) - 1)]
        counts = [stop - start for start, stop in pairwise(edges)]
        self.embeddings = nn.ModuleList(nn.Embedding(*sizes) for sizes in zip(counts, widths, strict=True))
        self.projections = nn.ModuleList(nn.Linear(narrow, width, bias=False) for narrow in widths)
        for embedding, projection in self.bands:
            nn.init.normal_(embedding.weight, std=embedding.embedding_dim**-0.5)
            nn.init.xavier_uniform_(projection.weight)

    @property
    def bands(self) -> list[tuple[Any, Any]]:
        """Embedding and projection of every band."""
        return list(zip(self.embeddings, self.projections, strict=True))

    def forward(self, words: Int[Tensor, " *items"]) -> Float[Tensor, " *items width"]:
        """Embed words by their numbers."""
        embedded: Tensor = self.bands[0][0].weight.new_zeros(*words.shape, self.width)
        for (embedding, projection), (start, stop) in zip(self.bands, pairwise(self.edges), strict=True):
            chosen = (words >= start) & (words < stop)
            embedded[chosen] = projection(embedding(words[chosen] - start)).to(embedded.dtype)
        return embedded.mul(self.width**0.5)


class AdaptiveSoftmax(nn.Module):
    """Log-probabilities of all words from two levels, with the weights of the adaptive input.

        log p(w) = log softmax([E_0 h; C h])_w                              for a word of the first band
        log p(w) = log softmax([E_0 h; C h])_b + log softmax(E_b P_b^T h)_w    for a word of a later band b

    E_b, P_b are the input's, C scores the later bands. They add up to one over the whole vocabulary, so that the KL
    divergence of two passes is exact and comparable with any other model's. The loss that was published with R-Drop
    takes a KL inside the first level and inside the band of the target instead.

    Args:
        inputs: whose embeddings and projections are used; they stay its own.
        dropout: rate on the hidden states, and on what they become in front of a later band.

    Source: Grave et al., arXiv 1609.04309; weights shared as in fairseq's `--tie-adaptive-weights --tie-adaptive-proj`.

    Relations: without tied weights and dropout it is `torch.nn.AdaptiveLogSoftmaxWithLoss.log_prob`.

    Example:
        >>> softmax = AdaptiveSoftmax(AdaptiveInput((0, 2, 6), width=8), dropout=0.2)
        >>> softmax(torch.ones(1, 8)).exp().sum(-1).allclose(torch.ones(1))
        True
    """

    def __init__(self, inputs: AdaptiveInput, dropout: float) -> None:
        super().__init__()
        self._inputs = (inputs,)  # in a tuple, so that its weights are not listed a second time
        self.dropout = nn.Dropout(dropout)
        self.clusters = nn.Linear(inputs.width, len(inputs.bands) - 1, bias=False)
        nn.init.xavier_uniform_(self.clusters.weight)

    def forward(self, hidden: Float[Tensor, " *items width"]) -> Float[Tensor, " *items vocabulary"]:
        """Log-probabilities of every word."""
        (first, _), *later = self._inputs[0].bands
        hidden = self.dropout(hidden)
        scores = torch.cat([functional.linear(hidden, first.weight), self.clusters(hidden)], dim=-1)
        words, clusters = torch.split(scores.log_softmax(-1), [first.num_embeddings, len(later)], dim=-1)
        bands = [words]
        for (embedding, projection), cluster in zip(later, torch.split(clusters, 1, dim=-1), strict=True):
            narrow = self.dropout(functional.linear(hidden, projection.weight.t()))
            bands.append(functional.linear(narrow, embedding.weight).log_softmax(-1) + cluster)
        return torch.cat(bands, dim=-1)

    def r_drop_loss(self, hidden: Tensor, target: Tensor, **arguments: Any) -> RDropOutput:
        """The R-Drop loss over the full vocabulary without holding all log-probabilities; `attach` calls it."""
        return chunked_r_drop_loss(hidden, self, target, **arguments)


class AdaptiveForCausalLM(XGLMForCausalLM):  # type: ignore[misc]  # transformers is not typed
    """fairseq's decoder, which XGLM is, between adaptive input and adaptive softmax, without the final normalisation.

    Its `logits` are log-probabilities, so that every loss computed from them is the model's.

    Args:
        config: of the decoder.
        cutoffs: the first word of every band but the first.
        softmax_dropout: of the adaptive softmax.
    """

    _tied_weights_keys: ClassVar[dict[str, str]] = {}

    def __init__(self, config: XGLMConfig, cutoffs: Sequence[int], softmax_dropout: float) -> None:
        vocabulary, config.vocab_size = config.vocab_size, 1  # the full table would only be made to be replaced
        super().__init__(config)
        config.vocab_size = vocabulary
        self.model.embed_tokens = AdaptiveInput((0, *cutoffs, vocabulary), config.d_model)
        self.model.layer_norm = nn.Identity()
        self.lm_head = AdaptiveSoftmax(self.model.embed_tokens, softmax_dropout)
