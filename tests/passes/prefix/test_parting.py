"""Rows of one pass become rows of all, from the split on."""

import pytest
import torch
from torch import nn

from regdrop.passes.prefix.parting import parted_by_pass, parting
from regdrop.passes.prefix.split import Split


class Frames(nn.Module):
    """Two layers that also take what was made before either of them."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.rows = Masked(), Masked(), []

    def forward(self, x, mask, table):
        for layer in (self.first, self.second):
            x = layer(x, mask=mask, table=table)
        return x


class Masked(nn.Module):
    def forward(self, x, mask, table):
        self.rows = [len(x), len(mask), len(table)]
        return x * mask + table[0]


def test_every_later_module_gets_rows_of_all_passes_whatever_it_is_handed():
    model = Frames()
    x, mask, table = torch.arange(6.0).view(3, 2), torch.ones(3, 1), torch.zeros(3, 2)
    split = Split("second", model.second, 0, (), 0.5)
    with parting(split, 3, 2, shared=("table",)) as state:
        output = model(x, mask, table)
    assert state.happened
    assert (model.first.rows, model.second.rows) == ([3, 3, 3], [6, 6, 3])
    assert torch.equal(output, torch.cat([x, x]))
    assert model(x, mask, table).shape == (3, 2)
    assert not model.second._forward_pre_hooks


def test_the_nth_call_is_the_one():
    layer = nn.Linear(2, 2)
    with parting(Split("", layer, 1, (), 0.5), 3, 2, ()) as state:
        assert layer(torch.ones(3, 2)).shape == (3, 2)
        assert not state.happened
        assert layer(torch.ones(3, 2)).shape == (6, 2)
        assert state.happened


def test_an_error_takes_the_hooks_off():
    layer = nn.Linear(2, 2)
    with pytest.raises(RuntimeError, match="shapes"), parting(Split("", layer, 0, (), 0.5), 3, 2, ()):
        layer(torch.ones(3, 5))
    assert not layer._forward_pre_hooks


def test_what_was_computed_once_belongs_to_all_passes():
    output = parted_by_pass({"late": torch.arange(4.0), "early": torch.arange(2.0), "loss": torch.tensor(1.0)}, 2, 2)
    assert output["late"].tolist() == [[0, 1], [2, 3]]
    assert output["early"].tolist() == [[0, 1], [0, 1]]
    assert output["loss"].ndim == 0
