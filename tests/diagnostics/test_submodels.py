"""The model is left as it was, and only its noise is switched on."""

import pytest
import torch
from torch import nn

from regdrop.diagnostics.submodels import preserved, switch_noise_on


def test_modes_buffers_and_random_state_come_back_even_after_an_error():
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout(0.5)).train()
    model[1].eval()
    modes = [module.training for module in model.modules()]
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    state = torch.get_rng_state()

    def misuse():
        with preserved(model, seed=1):
            model.train()
            model(torch.randn(8, 3))
            assert not torch.equal(model[1].running_mean, buffers["1.running_mean"])
            assert not torch.is_grad_enabled()
            raise KeyError

    with pytest.raises(KeyError):
        misuse()
    assert [module.training for module in model.modules()] == modes
    for name, buffer in model.named_buffers():
        torch.testing.assert_close(buffer, buffers[name], rtol=0, atol=0)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.is_grad_enabled()


def test_the_seed_decides_the_noise():
    def drawn(seed):
        with preserved(nn.Identity(), seed):
            return torch.rand(3)

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))


def test_running_statistics_stay_out_of_it():
    model = nn.Sequential(nn.BatchNorm1d(3), nn.LayerNorm(3), nn.Dropout(0.5)).eval()
    switch_noise_on(model)
    assert [module.training for module in model] == [False, True, True]
