"""Bars of layers: the strongest on top, long paths cut at their beginning."""

from matplotlib.figure import Figure

from regdrop.diagnostics.layers import LayerNoise
from regdrop.reports.pictures.layers import draw_layers


def test_bars_are_the_kls_in_order():
    layers = [
        LayerNoise("a.very.long.path.to.a.module.of.the.encoder.layer.3", 2, (0.1,), 0.5, 0.7),
        LayerNoise("", 1, (0.2,), 0.2, 0.3),
    ]
    axes = Figure().subplots()
    draw_layers(axes, layers)
    assert [bar.get_width() for bar in axes.patches] == [0.5, 0.2]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names[0].startswith("…")
    assert names[0].endswith("encoder.layer.3")
    assert names[1] == "the model itself"
    assert axes.yaxis_inverted()
