"""The lean-memory law: half the micro-batch and twice the accumulation give the gradient of the whole batch."""

import pytest
import torch

from passes.masks import per_sample_masks
from passes.tiny import CASES, collate
from passes.two_pass import gradients, relative_error
from regdrop import attach


def items_of(batch):
    """Valid items of a batch, as the loss counts them; the first label of a causal model predicts nothing."""
    labels = batch["labels"]
    return labels.numel() if labels.is_floating_point() else int((labels != -100).sum())


def accumulated(case, samples, size):
    """Gradients of one step over all samples, `size` of them at a time."""
    model = case.model()
    attach(model, alpha=2.0)
    whole = collate(samples)
    items = items_of({"labels": whole["labels"][..., 1:]} if case.kind == "causal" else whole)
    with per_sample_masks(model):
        for start in range(0, len(samples), size):
            model(**collate(samples[start : start + size]), num_items_in_batch=torch.tensor(items)).loss.backward()
    return gradients(model)


# Question answering has two counts, of starts and of ends.
@pytest.mark.parametrize("case", [case for case in CASES if case.kind != "qa"], ids=lambda case: case.name)
def test_half_the_micro_batch_and_twice_the_accumulation(case):
    samples = case.samples(8)
    whole, halves, quarters = (accumulated(case, samples, size) for size in (8, 4, 2))
    assert relative_error(halves, whole) < 1e-5
    assert relative_error(quarters, whole) < 1e-5
