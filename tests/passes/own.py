"""A model of one's own, not of transformers."""

import torch
from torch import nn


class Counted(nn.Module):
    """A classifier of one's own that counts its forwards and returns what it is told to."""

    def __init__(self, form=lambda loss, logits: {"loss": loss, "logits": logits}):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 16), nn.Dropout(0.5), nn.Linear(16, 3))
        self.form, self.forwards, self.rows, self.saw_labels = form, 0, 0, None

    def forward(self, x, labels=None):
        self.forwards, self.rows, self.saw_labels = self.forwards + 1, len(x), labels is not None
        logits = self.body(x)
        return self.form(None if labels is None else nn.functional.cross_entropy(logits, labels), logits)


def own_batch(rows=4):
    return torch.randn(rows, 8), torch.randint(0, 3, (rows,))
