"""attach on every head: value and gradient against two hand-written passes, and what must not change."""

import pytest
import torch
from passes.masks import per_sample_masks
from passes.tiny import CASES
from passes.two_pass import gradients, reference, relative_error

from regdrop import attach


@pytest.mark.parametrize("mode", ["concat", "sequential"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_value_and_gradient_equal_two_passes_by_hand(case, mode):
    model, batch = case.model(), case.batch(5)
    loss, task, divergence, expected = reference(model, case.kind, batch, alpha=2.0)
    handle = attach(model, alpha=2.0, mode=mode)
    with per_sample_masks(model, sequential=mode == "sequential"):
        output = model(**batch)
    output.loss.backward()
    assert divergence > 1e-4
    assert output.loss.item() == pytest.approx(loss, rel=1e-5)
    assert handle.task_loss.item() == pytest.approx(task, rel=1e-5)
    assert handle.kl.item() == pytest.approx(divergence, rel=1e-4)
    assert relative_error(gradients(model), expected) < 1e-5
