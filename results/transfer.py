"""Does a ViT that regdrop pretrained help on other classes, at another image size and with a new head?

Pretrains on classes 0 to 4 of Fashion-MNIST at 28 px, then learns classes 5 to 9 at 35 px from 200 images, once from
those weights and once from random ones, with everything else equal.

    python results/transfer.py
"""

import argparse
import io
import json
import logging
import zipfile
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from regdrop.checkpoints.atomic import atomic_path
from regdrop.studies.statistics import paired_difference, spread
from regdrop.tasks.images.labelled import Images
from regdrop.tasks.sources.images.fashion_mnist import read_fashion_mnist
from regdrop.training.recipe import load_recipe
from regdrop.training.run import train
from regdrop.training.summary import versions

FIRST, SECOND = range(5), range(5, 10)
HELD_OUT = 1000
SMALL = {"model.width": 64, "model.depth": 3, "data.augmentation": "none"}  # the experiment takes minutes of a core
PRETRAINING = SMALL | {"model.image_size": 28, "train.steps": 1000, "train.batch_size": 64, "train.eval_every": 200}
PRETRAINING_IMAGES = 30000
TRANSFER = SMALL | {
    "data.train_limit": 200,
    "model.image_size": 35,
    "train.steps": 100,
    "train.batch_size": 50,
    "train.warmup_steps": 10,
    "train.eval_every": 25,
}
STARTS = {"random weights": None, "pretrained": "pretraining/best/model.safetensors"}

_log = logging.getLogger("transfer")


def write_classes(images: Images, classes: Sequence[int], path: Path, count: int | None = None) -> None:
    """The images of some classes, at most `count` drawn at random, as a zip with one folder a class."""
    chosen = torch.isin(images.labels, torch.tensor(classes)).nonzero().flatten()
    chosen = chosen[torch.randperm(len(chosen), generator=torch.Generator().manual_seed(0))][:count]
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as beside, zipfile.ZipFile(beside, "w") as archive:
        for index in chosen.tolist():
            file = io.BytesIO()
            Image.fromarray(images.pixels[index, 0].numpy()).save(file, "png")
            archive.writestr(f"{images.labels[index]}/{index}.png", file.getvalue())


def run(name: str, data: Path, folder: Path, seed: int, settings: dict[str, Any]) -> dict[str, float]:
    """One run of the Fashion-MNIST recipe on a folder of images; its metrics on the test part."""
    fixed = {"data.source": "folder", "data.path": data, "data.validation": HELD_OUT, "model.classes": len(FIRST)}
    words = [f"--{key}={value}" for key, value in (fixed | settings).items()]
    summary = train(load_recipe("fashion_mnist_vit", words), folder / name, seed=seed, resume=True, progress=False)
    _log.info("%s: test accuracy %.4f", name, summary.test["accuracy"])
    return summary.test


def measure(folder: Path, seeds: int) -> dict[str, Any]:
    """Test accuracies of the pretraining and of every start and seed."""
    train_part, test_part = read_fashion_mnist(None)
    for name, classes, count in (
        ("first", FIRST, PRETRAINING_IMAGES),
        ("second", SECOND, HELD_OUT + TRANSFER["data.train_limit"]),
    ):
        write_classes(train_part, classes, folder / name / "train.zip", count)
        write_classes(test_part, classes, folder / name / "test.zip")
    before = run("pretraining", folder / "first", folder, 0, PRETRAINING)
    found = {start: accuracies(start, folder, seeds) for start in STARTS}
    return {"pretraining_accuracy": before["accuracy"], "accuracy": found}


def accuracies(start: str, folder: Path, seeds: int) -> list[float]:
    """Test accuracy of every seed that starts from these weights."""
    weights = STARTS[start]
    settings = TRANSFER | {"model.pretrained": "null" if weights is None else folder / weights}
    names = [f"{start.split()[0]}-seed{seed}" for seed in range(seeds)]
    return [run(name, folder / "second", folder, seed, settings)["accuracy"] for seed, name in enumerate(names)]


def described(found: dict[str, Any]) -> dict[str, Any]:
    """The record: what was found, its spread over seeds, and how."""
    one, other = (dict(enumerate(found["accuracy"][start])) for start in ("pretrained", "random weights"))
    return {
        "command": "python results/transfer.py",
        "date": datetime.now(UTC).date().isoformat(),
        "data": "Fashion-MNIST, classes 0 to 4, then 5 to 9",
        "pretraining_images": PRETRAINING_IMAGES - HELD_OUT,
        "pretraining": PRETRAINING,
        "transfer": TRANSFER,
        **found,
        "spread": {start: asdict(spread(values)) for start, values in found["accuracy"].items()},
        "difference": asdict(paired_difference(one, other)),
        "versions": versions(),
    }


def main() -> None:
    """Run everything and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results/transfer.json"), help="the record")
    parser.add_argument("--runs", type=Path, default=Path("runs/transfer"), help="folder of the runs")
    parser.add_argument("--seeds", type=int, default=5, help="(default 5)")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    record = json.dumps(described(measure(arguments.runs, arguments.seeds)), indent=1)
    with atomic_path(arguments.out) as beside:
        beside.write_text(record + "\n")
    _log.info("%s", record)


if __name__ == "__main__":
    main()
