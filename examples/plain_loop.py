"""R-Drop in a training loop of your own, on scikit-learn's digits."""

import argparse
from itertools import chain, islice, repeat

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from regdrop import paired_forward, r_drop_loss


def digits():
    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(images / 16, labels, train_size=1000, stratify=labels, random_state=0)
    return [torch.tensor(part, dtype=torch.float32 if part.ndim == 2 else torch.int64) for part in parts]


def network():
    hidden = [nn.Linear(64, 256), nn.ReLU(), nn.Dropout(0.3), nn.Linear(256, 256), nn.ReLU(), nn.Dropout(0.3)]
    return nn.Sequential(*hidden, nn.Linear(256, 10))


def train(model, images, labels, alpha, steps):
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    loader = DataLoader(TensorDataset(images, labels), batch_size=32, shuffle=True)
    for step, (x, y) in enumerate(islice(chain.from_iterable(repeat(loader)), steps), start=1):
        logits = paired_forward(model, x)  # (2, 32, 10): one forward of [x; x], two dropout masks
        out = r_drop_loss(logits, y, alpha=alpha)
        out.loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if step % 50 == 0 or step == steps:
            print(f"step {step}: loss {out.loss:.4f}, task_loss {out.task_loss:.4f}, kl {out.kl:.4f}")


def main(alpha, steps):
    torch.manual_seed(0)
    train_images, test_images, train_labels, test_labels = digits()
    model = network()
    train(model, train_images, train_labels, alpha, steps)
    predicted = model.eval()(test_images).argmax(-1)
    print(f"test accuracy {(predicted == test_labels).float().mean():.4f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alpha", type=float, default=1.0)
    parser.add_argument("--steps", type=int, default=250)
    main(**vars(parser.parse_args()))
