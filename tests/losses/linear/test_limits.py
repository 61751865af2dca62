"""What the loss of an output layer holds in memory, what it leaves out, and what it refuses."""

import pytest
import torch
from jaxtyping import config

from output_layer import CLASSES, FEATURES, fused, labels, layer, normal
from regdrop import linear_r_drop_loss
from regdrop.errors import InputError
from watcher import Watcher

# Memory and work


def test_the_full_logits_never_exist(backend):
    items, classes = 2048, 500
    hidden = normal(2, items, FEATURES).float().requires_grad_()
    weight = normal(classes, FEATURES).float().requires_grad_()
    with Watcher() as seen:
        linear_r_drop_loss(hidden, weight, labels(items, classes=classes), alpha=1.0, backend=backend).loss.backward()
    assert seen.most_bytes <= 0.15 * (2 * items * classes * 4)


def test_padding_never_meets_the_layer(backend):
    hidden, weight = layer(50, biased=False)
    target = labels(50)
    target[10:] = -100
    with Watcher() as seen:
        fused([hidden, weight], target, backend=backend).loss.backward()
    assert seen.rows == 2 * 10


# Bad input


@pytest.fixture
def without_run_time_types():
    """Users have no run-time type checker: our own checks must catch these."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


@pytest.mark.parametrize(
    ("change", "pattern"),
    [
        ({0: normal(1, 3, FEATURES)}, r"hidden states of shape \(1, 3, 4\) hold 1 pass; .*torch.stack"),
        ({0: normal(3, FEATURES)}, r"hidden states of shape \(3, 4\) should be \(passes, items, features\)"),
        ({1: normal(CLASSES, 5)}, r"weight has shape \(7, 5\); hidden states of 4 features need \(classes, 4\)"),
        ({1: normal(FEATURES)}, r"weight has shape \(4,\)"),
        ({2: normal(3)}, r"bias has shape \(3,\); a weight of shape \(7, 4\) needs \(7,\)"),
        ({1: normal(CLASSES, FEATURES).float()}, r"torch.float64 but weight has torch.float32.*torch.autocast"),
    ],
)
def test_parts_that_do_not_fit(without_run_time_types, change, pattern):
    parts = [change.get(i, part.detach()) for i, part in enumerate(layer(3))]
    with pytest.raises(InputError, match=pattern):
        fused(parts, labels(3))


def test_a_class_out_of_range():
    with pytest.raises(InputError, match="target 7 is outside the 7 classes"):
        fused(layer(3), torch.tensor([0, 7, 1]))
