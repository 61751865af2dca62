"""Small models whose noise is known: each sample's mask depends on the sample and the number of the draw alone."""

import torch
from torch import nn


class SampleDropout(nn.Module):
    """Dropout that counts its draws since the last forward of the full model, which comes first for every batch."""

    def __init__(self, p):
        super().__init__()
        self.p = p
        self.draws = 0

    def forward(self, hidden, ids):
        if not self.training:
            self.draws = 0
            return hidden
        if self.p == 0:
            return hidden
        self.draws += 1
        keep = [self.keep(int(index), hidden.shape[-1]) for index in ids.flatten()]
        return hidden * torch.stack(keep).view_as(hidden) / (1 - self.p)

    def keep(self, index, width):
        generator = torch.Generator().manual_seed(1009 * index + self.draws)
        return torch.rand(width, generator=generator, dtype=torch.float64) >= self.p


class SampleNet(nn.Module):
    """Two noisy layers; the first feature of a sample (or token) is its number."""

    def __init__(self, classes=5, width=16, rates=(0.4, 0.2)):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(4, width), nn.Linear(width, width)
        self.head = nn.Linear(width, classes)
        self.early, self.late = SampleDropout(rates[0]), SampleDropout(rates[1])
        self.double()
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.5)

    def forward(self, x):
        ids, features = x[..., 0], x[..., 1:5]
        hidden = self.early(self.first(features).relu(), ids)
        return self.head(self.late(self.second(hidden).relu(), ids))


def samples(*shape, seed=0):
    """Features `(*shape, 5)`, each sample (or token) with a number of its own."""
    x = torch.randn(*shape, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x[..., 0] = torch.arange(x[..., 0].numel()).view(shape)
    return x


def mlp(*rates, classes=3):
    """A plain network with an `nn.Dropout` after each hidden layer: modules "2", "5", ..."""
    torch.manual_seed(0)
    hidden = [part for rate in rates for part in (nn.Linear(8, 8), nn.ReLU(), nn.Dropout(rate))]
    return nn.Sequential(*hidden, nn.Linear(8, classes))


def labelled(count=64, classes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 8, generator=generator), torch.randint(classes, (count,), generator=generator)
