"""The order of the calls of one forward."""

import pytest
import torch
from torch import nn

from regdrop.passes.prefix.trace import trace


class Twice(nn.Module):
    """Calls one of its layers twice, and holds one that it never calls."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(4, 4))
        self.unused = nn.Linear(4, 4)
        self.last = nn.Linear(4, 2)

    def forward(self, x):
        return self.last(self.inner(self.inner(x)))


def test_calls_are_in_order_with_what_encloses_them_and_what_was_computed():
    model = Twice()
    seen = trace(model, lambda: model(torch.ones(3, 4)))
    assert [(call.parents, call.nth, call.flops) for call in seen.calls] == [
        ((), 0, 0),
        ((0,), 0, 0),
        ((0, 1), 0, 0),
        ((0,), 1, 96),
        ((0, 3), 1, 96),
        ((0,), 0, 192),
    ]
    assert seen.flops == 192 + 48
    assert seen.positions(model.inner) == [1, 3]
    assert seen.positions(model.unused) == []
    assert seen.inside(0) == [1, 3, 5]


def test_other_models_do_not_count_and_no_hook_stays():
    model, other = Twice(), nn.Linear(4, 4)
    seen = trace(model, lambda: model(other(torch.ones(3, 4))))
    assert len(seen.calls) == 6
    assert not nn.modules.module._global_forward_pre_hooks
    assert not nn.modules.module._global_forward_hooks
    with pytest.raises(RuntimeError, match="shapes"):
        trace(model, lambda: model(torch.ones(3, 5)))
    assert not nn.modules.module._global_forward_pre_hooks
    assert not nn.modules.module._global_forward_hooks
