"""The torch loss gives what vectors.json says, so whatever else agrees with the file agrees with it."""

import json
import runpy
from pathlib import Path

import torch

from regdrop import r_drop_loss

VECTORS = json.loads(Path(__file__).with_name("vectors.json").read_text())
TENSORS = ("mask", "class_weight")
ANSWERS = ("loss", "task_loss", "kl", "gradient")


def tensor(values):
    """Integers stay integers; numbers are float64."""
    made = torch.tensor(values)
    return torch.tensor(values, dtype=torch.float64) if made.is_floating_point() else made


def test_torch_agrees(vector):
    logits = tensor(vector["logits"]).requires_grad_()
    options = {key: tensor(value) if key in TENSORS else value for key, value in vector["options"].items()}
    out = r_drop_loss(logits, tensor(vector["label"]), **options)
    out.loss.sum().backward()
    for part, got in zip(ANSWERS, (out.loss.detach(), out.task_loss, out.kl, logits.grad), strict=True):
        torch.testing.assert_close(got, tensor(vector[part]), rtol=1e-10, atol=1e-10)


def test_the_file_is_what_its_script_writes():
    script = runpy.run_path(str(Path(__file__).with_name("make_vectors.py")))
    fresh = [script["solve"](*case) for case in script["inputs"]()]
    assert [case["name"] for case in fresh] == [case["name"] for case in VECTORS]
    for case, written in zip(fresh, VECTORS, strict=True):
        assert {**case, **dict.fromkeys(ANSWERS)} == {**written, **dict.fromkeys(ANSWERS)}
        for part in ANSWERS:
            torch.testing.assert_close(tensor(case[part]), tensor(written[part]), rtol=1e-10, atol=1e-12)
