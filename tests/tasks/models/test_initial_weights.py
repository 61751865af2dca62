import pytest
import torch
from torch import nn

from regdrop.tasks.models.initial_weights import start_as_fairseq


def test_queries_keys_and_values_start_smaller_and_nothing_but_matrices_changes():
    torch.manual_seed(0)
    names = ("q_proj", "k_proj", "v_proj", "out_proj")
    layers = nn.ModuleDict({"attention": nn.ModuleDict({name: nn.Linear(96, 96) for name in names})})
    layers["norm"], layers["table"] = nn.LayerNorm(96), nn.Embedding(5, 96)
    before = {key: weight.clone() for key, weight in layers.state_dict().items()}
    start_as_fairseq(layers)
    for key, weight in layers.state_dict().items():
        if "_proj.weight" not in key:
            assert torch.equal(weight, before[key]), key
            continue
        bound = (6 / (96 + 96)) ** 0.5 / (1 if "out_proj" in key else 2**0.5)
        assert weight.abs().max().item() == pytest.approx(bound, rel=0.01)
        assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.02)
