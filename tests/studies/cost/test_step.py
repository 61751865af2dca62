"""A step to time: every way does the work that it is named for."""

from typing import ClassVar

import pytest
import torch
from transformers.modeling_outputs import SequenceClassifierOutput

from passes.own import Counted
from regdrop.errors import InputError, NoNoiseError
from regdrop.studies.cost.step import Workload, step_case
from regdrop.studies.cost.ways import CONCAT, HALVED, PLAIN, REPLAY, TWINS


class Seen(Counted):
    """Returns an object with a loss, and notes the rows of every forward of every copy in one list."""

    rows_of: ClassVar[list[int]] = []

    def forward(self, x, labels=None):
        self.rows_of.append(len(x))
        return SequenceClassifierOutput(**super().forward(x, labels))


def work(rows=8):
    Seen.rows_of.clear()
    torch.manual_seed(0)
    model = Seen()
    batch = {"x": torch.randn(rows, 8), "labels": torch.randint(0, 3, (rows,))}
    return Workload(model, batch, torch.optim.SGD(model.parameters(), lr=0.0))


@pytest.mark.parametrize(
    ("way", "rows"), [(PLAIN, [8]), (CONCAT, [16]), (HALVED, [8, 8]), (REPLAY, [8, 8, 8]), (TWINS, [10])]
)
def test_the_rows_of_every_forward(way, rows):
    given = work()
    case = step_case(way, given, alpha=1.0)
    case.seconds(1)
    assert Seen.rows_of == rows
    assert given.model.body[0].weight.grad.abs().sum() > 0
    assert not given.model._forward_hooks


@pytest.mark.parametrize("rows", [8, 5])
def test_halves_give_the_gradient_of_the_whole(rows):
    """With a rate so low that nothing is ever dropped."""
    found = []
    for way in (CONCAT, HALVED):
        given = work(rows)
        given.model.body[1].p = 1e-9
        step_case(way, given, alpha=1.0).seconds(1)
        found.append(given.model.body[0].weight.grad)
    torch.testing.assert_close(*found)


def test_what_cannot_be_had_is_refused():
    with pytest.raises(InputError, match="micro-batch of 1 cannot be cut into 2"):
        step_case(HALVED, work(1), alpha=1.0)
    still = work()
    still.model.body[1].p = 0.0
    with pytest.raises(NoNoiseError):
        step_case(CONCAT, still, alpha=1.0)
