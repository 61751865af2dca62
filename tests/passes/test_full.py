"""The full model: what it returns, and that nothing shows afterwards that it was run."""

import copy

import pytest
import torch
from torch import nn

from regdrop.passes.batch import Call
from regdrop.passes.full import full_output


class Noisy(nn.Module):
    """Dropout, running statistics, a part that is in eval mode already, and noise that no mode switches off."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.BatchNorm1d(6))
        self.body[3].eval()

    def forward(self, x):
        if x.shape[1] != 4:
            raise KeyError
        return self.body(x) + 0 * torch.rand(6)


def state_of(model):
    buffers = [buffer.clone() for buffer in model.buffers()]
    return [module.training for module in model.modules()], buffers, torch.get_rng_state()


def run(model, x):
    return full_output(model, lambda call: model(*call.args), Call((x,), {}))


def test_it_is_the_model_in_eval_mode():
    model, x = Noisy(), torch.randn(8, 4)
    model(x)  # so that running statistics are not those of a fresh model
    before = state_of(model)
    output = run(model, x)
    assert not output.requires_grad
    torch.testing.assert_close(state_of(model), before, rtol=0, atol=0)
    torch.testing.assert_close(output, copy.deepcopy(model).eval()(x), rtol=0, atol=0)


def test_nothing_shows_after_an_error():
    model, x = Noisy(), torch.randn(8, 3)
    before = state_of(model)
    with pytest.raises(KeyError):
        run(model, x)
    torch.testing.assert_close(state_of(model), before, rtol=0, atol=0)
    assert torch.is_grad_enabled()


def test_weights_cast_for_it_do_not_reach_the_next_forward():
    model, x = Noisy(), torch.randn(8, 4)
    with torch.autocast("cpu", torch.bfloat16):
        run(model, x)
        loss = model(x).sum()
    loss.backward()
    assert model.body[0].weight.grad is not None
