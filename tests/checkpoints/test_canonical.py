"""Names and forms there and back, and which weights are taken, left out or refused on the way."""

import pytest
import torch

import vit_reference as tiny
from regdrop.checkpoints.canonical import from_canonical, to_canonical
from regdrop.checkpoints.naming import GOOGLE, OFFICIAL, PADDLE, TIMM, Naming
from regdrop.errors import CheckpointError

LAYOUTS = [TIMM, OFFICIAL, PADDLE, GOOGLE]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_there_and_back(state, layout, prefix):
    naming = Naming(layout, prefix)
    weights = from_canonical(state, naming, tiny.HEADS)
    assert all(key.startswith(prefix) for key in weights)
    back = to_canonical(weights, naming)
    assert list(back) == list(state)
    assert all(torch.equal(back[key], weight) and back[key].is_contiguous() for key, weight in state.items())
    assert not weights, "weights are handed over, not held twice"


def test_written_weights_share_no_memory(state):
    weights = from_canonical(state, Naming(OFFICIAL), 1)
    assert len({weight.untyped_storage().data_ptr() for weight in weights.values()}) == len(weights)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
@pytest.mark.parametrize("part", range(40))
def test_every_single_key_is_needed_and_of_one_shape(state, layout, part):
    naming = Naming(layout, "module.")
    weights = from_canonical(state, naming, tiny.HEADS)
    key = sorted(weights)[part % len(weights)]
    weight = weights[key]
    for wrong in (weight[:1], weight[..., None], weight.flatten()[0], torch.cat([weight, weight])):
        if wrong.shape != weight.shape and "head" not in key and "pos" not in key:
            with pytest.raises(CheckpointError, match="key "):
                to_canonical(weights | {key: wrong}, naming)
    with pytest.raises(CheckpointError, match="key "):
        to_canonical(weights | {key: weight.clone().fill_(torch.nan)}, naming)
    del weights[key]
    with pytest.raises(CheckpointError, match=r"missing|no ViT|does not belong"):
        to_canonical(weights, naming)
