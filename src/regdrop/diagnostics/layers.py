"""Which layers' noise makes the sub-models differ."""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from regdrop.passes.dropout import NoiseSource, noise_sources

NUMBERED = re.compile(r"(?:.*?\.)?\d+(?=\.|$)")


@dataclass(frozen=True, slots=True)
class LayerNoise:
    """How far sub-models differ when the noise of one layer alone is on.

    Attributes:
        layer: path of the layer; "" is the model itself.
        sources: how many places in it draw noise.
        rates: the different rates they have, ascending.
        kl: symmetric KL between two draws, nats per valid item.
        share: of the sum over layers. Noises add up only roughly: the sum is not the KL with all of them on.
    """

    layer: str
    sources: int
    rates: tuple[float, ...]
    kl: float
    share: float


def layer_of(name: str) -> str:
    """The layer a module is in: its path down to the first number, or all of it where there is none.

    Example:
        >>> layer_of("bert.encoder.layer.3.attention.self"), layer_of("blocks.11"), layer_of("embeddings.dropout")
        ('bert.encoder.layer.3', 'blocks.11', 'embeddings.dropout')
    """
    numbered = NUMBERED.match(name)
    return numbered.group() if numbered else name


def active_layers(model: nn.Module) -> dict[str, list[NoiseSource]]:
    """The noise sources that act now, by layer, in the order of `named_modules`."""
    layers = defaultdict(list)
    for source in noise_sources(model):
        if source.active:
            layers[layer_of(source.name)].append(source)
    return dict(layers)


def layer_noise(
    layers: Mapping[str, list[NoiseSource]], kl_sums: Mapping[str, float], items: int
) -> tuple[LayerNoise, ...]:
    """Rank layers, the one that matters most first.

    Args:
        layers: of `active_layers`.
        kl_sums: summed KL over items with one layer's noise alone.
        items: how many there were.
    """
    total = sum(kl_sums.values())
    rows = [
        LayerNoise(
            layer,
            len(sources),
            tuple(sorted({source.rate for source in sources})),
            kl_sums[layer] / items,
            kl_sums[layer] / total if total else 0.0,
        )
        for layer, sources in layers.items()
    ]
    return tuple(sorted(rows, key=lambda row: -row.kl))
