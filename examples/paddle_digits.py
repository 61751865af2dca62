"""Plain PaddlePaddle with R-Drop on scikit-learn's digits: `python examples/paddle_digits.py --alpha 0 1 --seeds 5`.

Needs paddlepaddle, regdrop, scikit-learn and tensorboard (not torch); watch it with `tensorboard --logdir runs/paddle`.
"""

import argparse

import numpy as np
import paddle
from paddle import nn
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tensorboard.summary import Writer

from regdrop.integrations.paddle import RDropLoss


def digits():
    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(images / 16, labels, train_size=1000, stratify=labels, random_state=0)
    return [paddle.to_tensor(part, "float32" if part.ndim == 2 else "int64") for part in parts]


def train(model, images, labels, criterion, epochs, writer):
    optimizer = paddle.optimizer.AdamW(1e-3, parameters=model.parameters())
    batches = paddle.io.DataLoader(paddle.io.TensorDataset([images, labels]), batch_size=32, shuffle=True)
    for step, (x, y) in enumerate(batch for _ in range(epochs) for batch in batches):
        logits = model(paddle.concat([x, x])).reshape([2, len(x), -1])  # one forward, two dropout masks
        out = criterion(logits, y)
        out.loss.backward()
        optimizer.step()
        optimizer.clear_grad()
        for name in ("loss", "task_loss", "kl"):
            writer.add_scalar(f"train/{name}", float(getattr(out, name)), step)


def run(alpha, seed, epochs, logs):
    paddle.seed(seed)
    np.random.seed(seed)  # the order of Paddle's batches
    train_images, test_images, train_labels, test_labels = digits()
    first = [nn.Linear(64, 256), nn.ReLU(), nn.Dropout(0.3)]
    model = nn.Sequential(*first, nn.Linear(256, 256), nn.ReLU(), nn.Dropout(0.3), nn.Linear(256, 10))
    writer = Writer(f"{logs}/alpha-{alpha:g}-seed-{seed}")
    train(model, train_images, train_labels, RDropLoss(alpha), epochs, writer)
    model.eval()
    accuracy = (model(test_images).argmax(-1) == test_labels).astype("float32").mean().item()
    writer.add_scalar("test/accuracy", accuracy, 0)
    writer.close()
    return accuracy


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--alpha", type=float, nargs="+", default=[1.0])
    for option, value in {"--seeds": 1, "--epochs": 8, "--logs": "runs/paddle"}.items():
        parser.add_argument(option, type=type(value), default=value)
    given = parser.parse_args()
    for alpha in given.alpha:
        scores = [run(alpha, seed, given.epochs, given.logs) for seed in range(given.seeds)]
        print(f"alpha {alpha:g}: test accuracy {np.mean(scores):.4f} of", *(f"{score:.4f}" for score in scores))
