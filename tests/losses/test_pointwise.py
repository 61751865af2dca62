"""Edge cases of the heads whose items are single numbers; values and gradients are in test_rdrop.py."""

import torch

from regdrop import r_drop_loss


def test_a_label_masked_in_every_pass_adds_nothing():
    logits = torch.tensor([[[0.3, -torch.inf]], [[-0.2, -torch.inf]]], requires_grad=True)
    out = r_drop_loss(logits, torch.tensor([[1.0, 0.0]]), alpha=1.0, task="multilabel", reduction="none")
    out.loss.sum().backward()
    assert out.loss[0, 1] == 0
    assert logits.grad.isfinite().all()
    assert not logits.grad[:, 0, 1].any()


def test_half_precision_is_computed_in_float32():
    logits = torch.tensor([[[0.3]], [[0.3125]]], dtype=torch.bfloat16)
    for task in ("multilabel", "regression"):
        out = r_drop_loss(logits, torch.tensor([[1.0]]), alpha=1.0, task=task)
        assert out.loss.dtype == torch.float32
        exact = r_drop_loss(logits.double(), torch.tensor([[1.0]]), alpha=1.0, task=task)
        torch.testing.assert_close(out.kl.double(), exact.kl, rtol=1e-5, atol=0)


def test_a_thousand_apart():
    logits = torch.tensor([[[1000.0]], [[-1000.0]]], requires_grad=True)
    out = r_drop_loss(logits, torch.tensor([[1.0]]), alpha=1.0, task="multilabel")
    out.loss.backward()
    assert out.kl == 1000
    assert logits.grad.isfinite().all()
