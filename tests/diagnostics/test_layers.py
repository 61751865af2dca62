"""Which layer a module is in, and the ranking of layers."""

import pytest

from diagnostics.nets import mlp
from regdrop.diagnostics.layers import active_layers, layer_noise, layer_of


@pytest.mark.parametrize(
    ("module", "layer"),
    [
        ("", ""),
        ("dropout", "dropout"),
        ("2", "2"),
        ("bert.embeddings.dropout", "bert.embeddings.dropout"),
        ("bert.encoder.layer.10.attention.self.dropout", "bert.encoder.layer.10"),
        ("blocks.3.mlp.drop1", "blocks.3"),
        ("drop1", "drop1"),
        ("stages.1.blocks.2.drop_path", "stages.1"),
    ],
)
def test_a_layer_is_the_path_down_to_the_first_number(module, layer):
    assert layer_of(module) == layer


def test_only_noise_that_acts_is_listed():
    model = mlp(0.1, 0.0, 0.3)
    assert list(active_layers(model)) == ["2", "8"]
    assert active_layers(model.eval()) == {}


def test_the_strongest_comes_first_and_shares_add_up():
    layers = active_layers(mlp(0.1, 0.2, 0.3))
    ranking = layer_noise(layers, {"2": 1.0, "5": 6.0, "8": 3.0}, items=10)
    assert [(row.layer, row.kl, row.share, row.rates) for row in ranking] == [
        ("5", 0.6, 0.6, (0.2,)),
        ("8", 0.3, 0.3, (0.3,)),
        ("2", 0.1, 0.1, (0.1,)),
    ]


def test_noise_that_never_reaches_the_output_has_no_share():
    (row,) = layer_noise(active_layers(mlp(0.1)), {"2": 0.0}, items=10)
    assert (row.kl, row.share, row.sources) == (0.0, 0.0, 1)
