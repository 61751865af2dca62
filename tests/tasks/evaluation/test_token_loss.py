import math

import pytest
import torch
from transformers import EvalPrediction

from regdrop.tasks.evaluation.token_loss import perplexity, token_losses


def slow(logits, labels):
    """Row by row, token by token."""
    sums = []
    for row, targets in zip(logits.double().tolist(), labels.tolist(), strict=True):
        losses = [
            math.log(sum(math.exp(z) for z in scores)) - scores[target]
            for scores, target in zip(row, targets, strict=True)
            if target != -100
        ]
        sums.append((sum(losses), len(losses)))
    return sums


def test_sums_and_counts_equal_the_slow_ones_and_padding_adds_nothing():
    logits, labels = torch.randn(3, 5, 7), torch.randint(0, 7, (3, 5))
    labels[0, 2:] = -100
    labels[2] = -100
    sums, counts = token_losses(logits, labels)
    for (expected, count), found, counted in zip(slow(logits, labels), sums, counts, strict=True):
        assert (found.item(), counted.item()) == (pytest.approx(expected, abs=1e-5), count)
    wider = torch.cat([logits, torch.randn(3, 4, 7)], 1), torch.cat([labels, torch.full((3, 4), -100)], 1)
    padded_sums, padded_counts = token_losses(*wider)
    torch.testing.assert_close(padded_sums, sums)
    assert torch.equal(padded_counts, counts)


def test_half_precision_is_summed_in_single():
    sums, _ = token_losses(torch.randn(1, 3, 7).bfloat16(), torch.tensor([[1, 2, 3]]))
    assert sums.dtype == torch.float32


def test_perplexity_weighs_tokens_not_rows():
    evaluation = EvalPrediction((torch.tensor([6.0, 1.0]).numpy(), torch.tensor([3, 1]).numpy()), None)
    assert perplexity(evaluation, None) == {"perplexity": pytest.approx(math.exp(7 / 4))}
