"""The weights that fairseq's Transformers start from."""

from torch import nn

SCALED = ("q_proj", "k_proj", "v_proj")


def start_as_fairseq(layers: nn.Module) -> None:
    """Draw the weights of every linear layer anew, as fairseq does; biases and embeddings stay as they are.

        w ~ U(-a, a),   a = gain sqrt(6 / (inputs + outputs)),   gain 1 / sqrt(2) for queries, keys and values, else 1

    Args:
        layers: of transformers' encoders or decoders, whose attention calls its projections q_proj, k_proj and v_proj.

    Source: Glorot and Bengio 2010; the gain is that of fairseq's `MultiheadAttention.reset_parameters`.

    Example:
        >>> layer = nn.Linear(64, 32)
        >>> start_as_fairseq(layer)
        >>> bool(layer.weight.abs().max() <= 0.25)
        True
    """
    for name, layer in layers.named_modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight, gain=2**-0.5 if name.endswith(SCALED) else 1.0)
