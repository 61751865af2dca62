"""R-Drop in a loop as timm's train.py has it (mixup, accumulation), on digits."""

import argparse
from itertools import chain, islice, repeat

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from timm import create_model
from timm.data import Mixup
from timm.optim import create_optimizer_v2
from timm.utils import AverageMeter, accuracy
from torch.utils.data import DataLoader, TensorDataset

from regdrop import paired_forward, r_drop_loss


def digits():
    digits = load_digits()
    parts = train_test_split(digits.images / 16, digits.target, train_size=1000, stratify=digits.target, random_state=0)
    images, test_images, labels, test_labels = map(torch.tensor, parts)
    return TensorDataset(images[:, None].float(), labels), TensorDataset(test_images[:, None].float(), test_labels)


def train(model, data, alpha, steps, accumulation=2):
    optimizer = create_optimizer_v2(model, opt="adamw", lr=3e-3, weight_decay=0.05)
    mixup = Mixup(mixup_alpha=0.1, num_classes=10)
    meters = {name: AverageMeter() for name in ("task_loss", "kl")}
    loader = DataLoader(data, batch_size=32, shuffle=True)
    windows = zip(*[chain.from_iterable(repeat(loader))] * accumulation, strict=False)
    for step, window in enumerate(islice(windows, steps), start=1):
        items = sum(len(labels) for _, labels in window)  # of the whole step: not all batches are equally long
        for images, labels in window:
            mixed, target = mixup(images, labels)
            logits = paired_forward(model, mixed)
            out = r_drop_loss(logits, target, alpha=alpha, num_items=items)
            out.loss.backward()
            for name, meter in meters.items():
                meter.update(getattr(out, name).item() * items / len(labels), n=len(labels))
        optimizer.step()
        optimizer.zero_grad()
        if step % 10 == 0 or step == steps:
            print(f"step {step}:", ", ".join(f"{name} {meter.avg:.4f}" for name, meter in meters.items()))


def main(alpha, steps):
    torch.manual_seed(0)
    data, test = digits()
    sizes = {"img_size": 8, "patch_size": 4, "in_chans": 1, "embed_dim": 64, "depth": 2, "num_heads": 4}
    model = create_model("vit_tiny_patch16_224", num_classes=10, proj_drop_rate=0.1, **sizes)
    train(model, data, alpha, steps)
    (top1,) = accuracy(model.eval()(test.tensors[0]), test.tensors[1])
    print(f"test accuracy {top1 / 100:.4f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alpha", type=float, default=1.0)
    parser.add_argument("--steps", type=int, default=200)
    main(**vars(parser.parse_args()))
