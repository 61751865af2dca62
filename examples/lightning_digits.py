"""R-Drop under Lightning, on scikit-learn's digits: one callback."""

import argparse

import lightning
import torch
from lightning.pytorch.loggers import CSVLogger
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from regdrop.integrations.lightning import RDropCallback


def digits():
    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(images / 16, labels, train_size=1000, stratify=labels, random_state=0)
    x, test_x, y, test_y = (torch.tensor(part) for part in parts)
    loader = DataLoader(TensorDataset(x.float(), y), batch_size=32, shuffle=True, drop_last=True)
    return loader, DataLoader(TensorDataset(test_x.float(), test_y), batch_size=256)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Dropout(0.3), nn.Linear(256, 10))

    def forward(self, images, labels):
        logits = self.body(images)
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


class Digits(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.model = Network()

    def training_step(self, batch):
        return self.model(*batch)["loss"]

    def validation_step(self, batch):
        self.log("accuracy", (self.model(*batch)["logits"].argmax(-1) == batch[1]).float().mean())

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for option, value in {"--alpha": 1.0, "--steps": 250, "--logs": "runs/lightning"}.items():
        parser.add_argument(option, type=type(value), default=value)
    given = parser.parse_args()
    lightning.seed_everything(0)
    options = {"max_steps": given.steps, "log_every_n_steps": 10, "logger": CSVLogger(given.logs)}
    trainer = lightning.Trainer(callbacks=[RDropCallback(given.alpha)], **options)
    trainer.fit(Digits(), *digits())
    print(", ".join(f"{name} {value:.4f}" for name, value in trainer.logged_metrics.items()))
