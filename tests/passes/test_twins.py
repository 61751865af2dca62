"""Only some rows are run twice: over all choices of them the mean is the full loss."""

from itertools import combinations

import pytest
import torch
from torch import nn

from passes.masks import per_sample_masks
from passes.own import Counted, own_batch
from passes.tiny import BY_NAME, CASES
from passes.two_pass import gradients, reference, relative_error
from regdrop import attach
from regdrop.errors import InputError
from regdrop.passes import twins

ROWS, TOKENS, CLASSES = 5, 3, 4
PENALTIES = [
    ("classification", "kl"),
    ("regression", "kl"),
    ("multilabel", "kl"),
    ("classification", "logit_mse"),
]


class Tabled(nn.Module):
    """Logits of numbered rows under masks from a table: the first time a row occurs `order[0]`, then `order[1]`."""

    def __init__(self, *shape):
        super().__init__()
        self.order, self.body, self.drop = (0, 1), nn.Linear(6, CLASSES, dtype=torch.float64), nn.Dropout(0.5)
        self.x = torch.randn(ROWS, *shape, 6, dtype=torch.float64)
        self.masks = 2.0 * (torch.rand(2, ROWS, *shape, 6) < 0.5)

    def forward(self, rows, labels=None):
        earlier = (rows[:, None] == rows[None]).tril(-1).sum(1)
        return {"logits": self.body(self.x[rows] * self.masks[torch.tensor(self.order)[earlier], rows])}


def tabled(task, shape):
    """A model, its batch and how many of its items count."""
    torch.manual_seed(5)
    model = Tabled(*shape)
    if task == "classification":
        labels = torch.randint(CLASSES, (ROWS, *shape))
        labels.flatten()[[0, -1]] = -100
        if shape:
            labels[1] = -100  # a row without any item
        return model, {"rows": torch.arange(ROWS), "labels": labels}
    return model, {"rows": torch.arange(ROWS), "labels": torch.rand(ROWS, *shape, CLASSES, dtype=torch.float64)}


def one_step(model, batch, **options):
    model.zero_grad()
    handle = attach(model, alpha=3.0, **options)
    loss = model(**batch)["loss"]
    loss.backward()
    handle.remove()
    return torch.stack([loss.detach(), handle.kl, handle.task_loss]), gradients(model)


def mean_step(steps):
    values, grads = zip(*steps, strict=True)
    return torch.stack(values).mean(0), {name: torch.stack([g[name] for g in grads]).mean(0) for name in grads[0]}


@pytest.mark.parametrize("items", [None, 40])
@pytest.mark.parametrize("fraction", [0.1, 0.4, 0.8])
@pytest.mark.parametrize("shape", [(), (TOKENS,)], ids=["samples", "tokens"])
@pytest.mark.parametrize(("task", "penalty"), PENALTIES)
def test_over_all_choices_of_rows_the_mean_is_the_full_loss(monkeypatch, task, penalty, shape, fraction, items):
    model, batch = tabled(task, shape)
    batch |= {} if items is None else {"num_items_in_batch": items}
    full = one_step(model, batch, task=task, penalty=penalty)
    found = []
    for model.order in ((0, 1), (1, 0)):  # either pass may be the one that all rows have
        for rows in combinations(range(ROWS), round(fraction * ROWS) or 1):
            monkeypatch.setattr(twins, "drawn_rows", lambda size, count, rows=rows: torch.tensor(rows))
            found.append(one_step(model, batch, task=task, penalty=penalty, twin_fraction=fraction))
    torch.testing.assert_close(mean_step(found), full)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_sequential_twins_equal_concatenated_ones_under_the_same_masks(case):
    batch, found = case.batch(6), []
    for mode in ("concat", "sequential"):
        model = case.model()
        handle = attach(model, alpha=2.0, twin_fraction=0.5, mode=mode)
        torch.manual_seed(1)
        with per_sample_masks(model, forwards=2 if mode == "sequential" else 1):
            loss = model(**batch).loss
        loss.backward()
        found.append((loss.detach(), handle.kl, gradients(model)))
    assert found[0][1] > 0
    torch.testing.assert_close(found[0][:2], found[1][:2], rtol=1e-4, atol=1e-6)
    assert relative_error(found[0][2], found[1][2]) < 1e-4


@pytest.mark.parametrize(("rows", "fraction", "more"), [(4, 0.25, 1), (8, 0.25, 2), (3, 0.01, 1), (1, 0.25, 1)])
@pytest.mark.parametrize("mode", ["concat", "sequential"])
def test_how_many_rows_are_run_again(mode, rows, fraction, more):
    model = Counted()
    attach(model, alpha=1.0, twin_fraction=fraction, mode=mode)
    x, y = own_batch(rows)
    assert model(x, y)["logits"].shape == (rows, 3)
    assert (model.forwards, model.rows) == ((1, rows + more) if mode == "concat" else (2, more))


def test_one_row_is_full_r_drop():
    case = BY_NAME["BERT sequence classification"]
    model, batch = case.model(), case.batch(1)
    loss, _, _, expected = reference(model, case.kind, batch, alpha=1.0)
    attach(model, alpha=1.0, twin_fraction=0.25)
    with per_sample_masks(model):
        output = model(**batch)
    output.loss.backward()
    assert output.loss.item() == pytest.approx(loss, rel=1e-5)
    assert relative_error(gradients(model), expected) < 1e-5


def test_the_rows_follow_torchs_seed():
    model, (x, y) = Counted(), own_batch(16)
    attach(model, alpha=1.0, twin_fraction=0.25)
    losses = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        losses.append(model(x, y)["loss"].item())
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"twin_fraction": 0.0}, "twin_fraction=0.0 must be more than 0 and at most 1"),
        ({"twin_fraction": 1.5}, "twin_fraction=1.5"),
        ({"twin_fraction": float("nan")}, "twin_fraction=nan"),
        ({"twin_fraction": 0.5, "passes": 3}, "twin_fraction=0.5 .* passes=3"),
        ({"twin_fraction": 0.5, "mode": "replay"}, "twin_fraction=0.5 .* mode='replay'.*'concat' or 'sequential'"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(InputError, match=message):
        attach(Counted(), alpha=1.0, **options)
