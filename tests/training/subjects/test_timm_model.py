"""Models of timm, with weights from files and images from folders."""

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from regdrop.errors import CheckpointError, DataError, InputError
from regdrop.training.diagnosing import diagnose_subject
from regdrop.training.subjects.find import Request, find_subject

NAME = "timm:test_vit"
SMALL = ("--model.img_size", "32")


@pytest.fixture
def images(tmp_path):
    noise = np.random.default_rng(0)
    for name, count in (("cat", 3), ("dog", 2), ("eel", 4)):
        (tmp_path / "images" / name).mkdir(parents=True)
        for place in range(count):
            Image.fromarray(noise.integers(0, 255, (20, 30, 3), np.uint8)).save(
                tmp_path / "images" / name / f"{place}.png"
            )
    return tmp_path / "images"


def test_the_images_come_in_turns_of_the_classes_normalised(images):
    subject = find_subject(Request(NAME, images, SMALL, size=4))
    batches = list(subject.batches)
    assert [labels.tolist() for _, labels in batches] == [[0, 1, 2, 0], [1, 2, 0, 2], [2]]
    config = timm.data.resolve_model_data_config(subject.model)
    with Image.open(images / "cat" / "0.png") as picture:
        pixels = np.asarray(picture.resize((32, 32), Image.Resampling.BILINEAR), np.float64) / 255
    expected = (pixels - config["mean"]) / config["std"]
    np.testing.assert_allclose(batches[0][0][0].permute(1, 2, 0), expected, atol=1e-5)


def test_weights_and_dropout_as_asked_for(images, tmp_path):
    torch.manual_seed(3)
    trained = timm.create_model("test_vit", num_classes=3, img_size=32)
    save_file(trained.state_dict(), tmp_path / "vit.safetensors")
    settings = (*SMALL, "--model.drop_rate", "0.3")
    subject = find_subject(Request(NAME, images, settings, weights=tmp_path / "vit.safetensors"))
    for name, tensor in trained.state_dict().items():
        assert torch.equal(subject.model.state_dict()[name], tensor)
    found = diagnose_subject(subject, "command", passes=2, progress=False).diagnosis
    assert (found.items, found.classes) == (9, 3)
    assert found.active_sources > 0


def test_a_model_without_dropout_is_told_so(images):
    found = diagnose_subject(find_subject(Request(NAME, images, SMALL)), "command", passes=2, progress=False).diagnosis
    assert found.verdict.kind == "no noise"


def test_what_does_not_fit_is_refused(images, tmp_path):
    (tmp_path / "bad.safetensors").write_bytes(b"weights")
    for request, error, message in (
        (Request("timm:vit_tny", images), InputError, "timm has no model 'vit_tny'"),
        (Request(NAME, images, ("--model.depth", "3")), InputError, "unknown setting model.depth"),
        (Request(NAME, images, ("--rdrop.alpha", "3")), InputError, "without a recipe"),
        (Request(NAME, images, ("--model.drop_rate", "much")), InputError, "without a recipe"),
        (Request(NAME, images, SMALL, weights=tmp_path / "bad.safetensors"), CheckpointError, r"bad\.safetensors"),
        (Request(NAME, tmp_path / "nowhere"), DataError, "no folder of images"),
        (Request(NAME), InputError, "has no data of its own"),
    ):
        with pytest.raises(error, match=message):
            find_subject(request)
