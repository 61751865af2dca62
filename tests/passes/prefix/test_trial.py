"""The trial of a split refuses what would train something else."""

import re

import pytest
import torch
from torch import nn

from passes.late import chain
from regdrop.passes.batch import Call
from regdrop.passes.options import PassOptions
from regdrop.passes.prefix.split import Split
from regdrop.passes.prefix.trial import aside, in_eval_mode, refusal_of_exact, refusal_of_twins, two_rows
from regdrop.passes.request import Request


def request_for(model, x, **options):
    return Request(model, Call((x,), {}), PassOptions(**options), lambda call: model(*call.args, **call.kwargs))


def split_of(model, name, *followers):
    return Split(name, model.get_submodule(name), 0, tuple(map(model.get_submodule, followers)), 0.5)


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_the_trial_takes_two_rows(rows):
    x = torch.randn(rows, 4)
    (taken,) = two_rows(request_for(nn.Identity(), x)).call.args
    assert taken.shape == (2, 4)
    assert torch.equal(taken, x[[0, 1 if rows > 1 else 0]])


@pytest.mark.parametrize("passes", [2, 3])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_a_right_split_is_taken_and_a_wrong_one_refused(passes, dtype):
    model = chain(dtype)
    sample = two_rows(request_for(model, torch.randn(4, 8, dtype=dtype), passes=passes))
    assert refusal_of_exact(sample, split_of(model, "5")) is None
    assert refusal_of_exact(sample, split_of(model, "3")) is None
    assert "not those of the whole batch" in refusal_of_exact(sample, split_of(model, "8"))
    assert refusal_of_twins(sample, split_of(model, "8")) is None
    assert "no noise" in refusal_of_twins(sample, split_of(model, "9"))


def test_passes_that_go_on_with_the_rows_of_one_are_refused_though_they_agree():
    class FirstRows(nn.Module):
        """Noise without an effect yet, as LoRA's is in the beginning; the rows are counted on the input."""

        def __init__(self):
            super().__init__()
            self.body, self.drop, self.branch = nn.Linear(4, 4), nn.Dropout(0.5), nn.Linear(4, 4)
            self.layer = nn.Sequential(nn.Identity())
            nn.init.zeros_(self.branch.weight)

        def forward(self, x):
            hidden = self.layer(self.body(x))
            return (hidden + self.branch(self.drop(hidden)))[: len(x)]

    model = FirstRows()
    sample = two_rows(request_for(model, torch.randn(4, 4)))
    assert "no gradient comes back from some" in refusal_of_exact(sample, split_of(model, "layer"))


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_split_inside_of_a_checkpoint_is_refused(reentrant):
    class Checkpointed(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.noisy = nn.Linear(4, 4), nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 3))

        def forward(self, x):
            return torch.utils.checkpoint.checkpoint(self.noisy, self.body(x), use_reentrant=reentrant)

    model = Checkpointed()
    sample = two_rows(request_for(model, torch.randn(4, 4)))
    with aside(model):
        assert re.search("checkpoint|no gradient", refusal_of_exact(sample, split_of(model, "noisy")))


def test_aside_keeps_the_random_state_and_buffers_even_if_they_are_replaced():
    model = nn.BatchNorm1d(3)
    random, mean = torch.get_rng_state(), model.running_mean
    with aside(model), in_eval_mode(model):
        assert not model.training
        torch.rand(3)
        model.running_mean += 1
        model.running_mean = torch.ones(3)
    assert model.training
    assert model.running_mean is mean
    assert torch.equal(mean, torch.zeros(3))
    assert torch.equal(torch.get_rng_state(), random)


def test_weights_that_are_still_zero_hide_nothing():
    """A fresh classifier of zeros: every split agrees, and no gradient comes back, until it is tried with others."""
    model = chain(torch.float64)
    with torch.no_grad():
        model[-1].weight.zero_()
    before = [weight.data for weight in model.parameters()]
    sample = two_rows(request_for(model, torch.randn(4, 8, dtype=torch.float64)))
    with aside(model):
        assert model[-1].weight.any()
        assert refusal_of_exact(sample, split_of(model, "5")) is None
        assert "not those of the whole batch" in refusal_of_exact(sample, split_of(model, "8"))
    assert all(
        weight.data.data_ptr() == data.data_ptr() for weight, data in zip(model.parameters(), before, strict=True)
    )
    assert not model[-1].weight.any()
