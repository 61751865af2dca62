"""Tiny runs of every recipe of the paper through the real code: published file formats, two processes, resumed."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cifar_files
import paper_recipes
from regdrop.checkpoints.vit import save_vit
from regdrop.tasks.models.vit import ViTModel, build_vit
from regdrop.training.evaluation import evaluate
from regdrop.training.recipe import load_recipe
from regdrop.training.summary import RunSummary


def write_images(folder):
    """Two classes of images as ImageNet has them, each of its own size."""
    random = np.random.default_rng(0)
    for part, count in (("train", 20), ("val", 5)):
        for kind in ("n01440764", "n01443537"):
            (folder / part / kind).mkdir(parents=True)
            for i in range(count):
                pixels = random.integers(0, 256, (30 + i, 50 - i, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / part / kind / f"{i}.JPEG")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the data, the pretrained weights and, after two processes have ended, the runs are."""
    folder = tmp_path_factory.mktemp("paper")
    for classes, count in ((10, 8), (100, 32)):
        cifar_files.write_archive(folder / "cifar", classes, cifar_files.files(classes, count))
    write_images(folder / "imagenet")
    sizes = ViTModel(classes=21, image_size=48, patch_size=16, width=16, depth=1, heads=2)
    save_vit(build_vit(sizes).state_dict(), folder / "ViT-tiny_16.npz", heads=2)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*launch, Path(paper_recipes.__file__), folder],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def records(run):
    found = [json.loads(line) for line in (run / "records.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in found]


@pytest.mark.parametrize("name", paper_recipes.DATA)
def test_a_resumed_run_is_the_whole_run(folder, name):
    whole, parts = folder / name / "whole", folder / name / "parts"
    assert records(parts) == records(whole)
    steps = [line for line in records(whole) if "loss" in line]
    assert [line["step"] for line in steps] == list(range(1, paper_recipes.STEPS + 1))
    first, second = (RunSummary.from_json((run / "summary.json").read_text()) for run in (whole, parts))
    assert (second.test, second.validation, second.best_step) == (first.test, first.validation, first.best_step)


@pytest.mark.parametrize("name", paper_recipes.DATA)
def test_it_starts_undecided_and_the_passes_part(folder, name):
    recipe = paper_recipes.tiny(name, folder)
    steps = [line for line in records(folder / name / "whole") if "loss" in line]
    assert steps[0]["task_loss"] == pytest.approx(2 * math.log(recipe.model.classes), abs=1e-3)
    assert steps[0]["kl"] == 0
    assert steps[-1]["kl"] > 0
    for line in steps:
        assert line["loss"] == pytest.approx(line["task_loss"] + recipe.rdrop.alpha * line["kl"], rel=1e-4)


@pytest.mark.parametrize("name", paper_recipes.DATA)
def test_two_processes_report_the_score_of_one(folder, name):
    run = folder / name / "parts"
    summary = RunSummary.from_json((run / "summary.json").read_text())
    assert evaluate(load_recipe(run), run, progress=False) == pytest.approx(summary.test, rel=1e-5)
