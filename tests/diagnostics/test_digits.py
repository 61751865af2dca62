"""On real digits: R-Drop makes sub-models agree more than training without it, seed by seed."""

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from regdrop import paired_forward, r_drop_loss
from regdrop.diagnostics.diagnose import diagnose

SEEDS = (0, 1, 2)
LEARN, EPOCHS, BATCH = 300, 40, 100


@pytest.fixture(scope="module")
def digits():
    raw = load_digits()
    order = torch.randperm(len(raw.target), generator=torch.Generator().manual_seed(0))
    return torch.tensor(raw.data / 16, dtype=torch.float32)[order], torch.tensor(raw.target)[order]


def trained(digits, alpha, seed):
    x, y = digits
    torch.manual_seed(seed)
    layers = [nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, 128), nn.ReLU(), nn.Dropout(0.3)]
    model = nn.Sequential(*layers, nn.Linear(128, 10))
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for batch in (part for _ in range(EPOCHS) for part in torch.randperm(LEARN).split(BATCH)):
        optimizer.zero_grad()
        r_drop_loss(paired_forward(model, x[batch]), y[batch], alpha=alpha).loss.backward()
        optimizer.step()
    return model


def test_r_drop_makes_sub_models_agree(digits):
    x, y = digits
    held_out = [(x[LEARN:], y[LEARN:])]
    print("\nalpha seed      KL  loss gap  full NLL  accuracy")  # noqa: T201 - shown by pytest -s
    found = {}
    for seed in SEEDS:
        for alpha in (0.0, 1.0):
            result = diagnose(trained(digits, alpha, seed), held_out)
            found[seed, alpha] = measured = result.consistency
            row = (measured.pairwise_kl, measured.loss_gap, measured.full_nll, measured.full_accuracy)
            print(f"{alpha:5.1f} {seed:4d}  " + "  ".join(f"{value:7.4f}" for value in row))  # noqa: T201
            assert result.verdict.kind == "worthwhile"
            assert measured.full_accuracy > 0.85
    for seed in SEEDS:
        plain, r_drop = found[seed, 0.0], found[seed, 1.0]
        assert r_drop.pairwise_kl < plain.pairwise_kl
        assert r_drop.total_variation < plain.total_variation
        assert r_drop.sub_to_full_kl < plain.sub_to_full_kl
        assert r_drop.loss_gap < plain.loss_gap
