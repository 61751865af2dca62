"""The options are refused in one place, whichever door they come through, and every name has what it names."""

from typing import get_args

import pytest
import torch
from jaxtyping import config
from torch import nn

from passes.own import Counted
from regdrop import attach, paired_forward
from regdrop.errors import InputError
from regdrop.passes.modes import MODES
from regdrop.passes.options import PER_ROW, ModeName

REFUSED = [
    ({"passes": 1}, "passes=1: R-Drop compares at least two"),
    ({"mode": "concatenate"}, "unknown mode 'concatenate': did you mean 'concat'"),
    ({"every": 0}, "every=0 must be at least 1"),
    ({"penalty": "logit_mes"}, "unknown penalty 'logit_mes': did you mean 'logit_mse'"),
    ({"label_smoothing": 1.5}, "label_smoothing=1.5 must lie between 0 and 1"),
]


@pytest.fixture
def _without_run_time_types():
    """Users have no run-time type checker."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


@pytest.mark.usefixtures("_without_run_time_types")
@pytest.mark.parametrize(("options", "message"), REFUSED)
def test_attach_refuses_and_leaves_the_model_alone(options, message):
    model = Counted()
    with pytest.raises(InputError, match=message):
        attach(model, alpha=1.0, **options)
    attach(model, alpha=1.0)


@pytest.mark.usefixtures("_without_run_time_types")
@pytest.mark.parametrize(("options", "message"), REFUSED[:2])
def test_paired_forward_refuses(options, message):
    with pytest.raises(InputError, match=message):
        paired_forward(nn.Sequential(nn.Dropout(0.5)), torch.randn(2, 2), **options)


def test_every_mode_that_can_be_named_is_there():
    assert set(MODES) == set(get_args(ModeName))
    assert set(MODES) >= PER_ROW
