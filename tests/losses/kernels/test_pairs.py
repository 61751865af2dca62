"""Two passes: how far apart they are, and what their gradient is made of."""

import pytest
import torch

from regdrop.losses.kernels.pairs import compare

LOGITS = 2 * torch.randn(3, 4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("lent", [False, True])
def test_distances_are_both_directions_of_the_divergence(lent):
    prob, log = LOGITS.softmax(-1), LOGITS.log_softmax(-1)
    buffers = torch.empty(3, 4, 6, dtype=torch.float64).unbind() if lent else (None,) * 3
    pairs, bounded = compare(LOGITS.unbind(), prob.unbind(), buffers, torch.empty_like(LOGITS[0]))
    assert bounded
    assert [(pair.a, pair.b) for pair in pairs] == [(0, 1), (0, 2), (1, 2)]
    for pair in pairs:
        both = ((prob[pair.a] - prob[pair.b]) * (log[pair.a] - log[pair.b])).sum(-1, keepdim=True)
        torch.testing.assert_close(pair.distance, both)
        torch.testing.assert_close((prob[pair.a] * pair.centred).sum(-1), torch.zeros(4).double())


def test_a_class_masked_in_one_pass_leaves_all_finite():
    logits = LOGITS[:2].float()
    logits[0, 1, 2] = logits[1, 1, 3] = -torch.inf
    logits[:, 2, 0] = -torch.inf
    (pair,), bounded = compare(logits.unbind(), logits.softmax(-1).unbind(), (None,), torch.empty_like(logits[0]))
    assert not bounded
    assert pair.centred.isfinite().all()
    assert pair.distance.isfinite().all()
    assert pair.distance[1] > 1e30
    assert (pair.distance[[0, 2, 3]] < 100).all()
