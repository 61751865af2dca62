import math

import pytest
import torch
from transformers import EvalPrediction

from diagnostics.slow import reliability
from regdrop.errors import DataError, RecipeError
from regdrop.tasks.models.vit import ViTModel
from regdrop.tasks.vision import TASK, ImageData, load_images

DIGITS = ViTModel(classes=10, image_size=8, channels=1, patch_size=4, width=16, depth=1, heads=2)


def contents(data):
    batch = data.__getitems__(range(len(data)))
    return {tuple(pixels.flatten().tolist()) for pixels in batch["pixel_values"]}


def test_the_three_parts_share_no_image():
    splits = load_images(ImageData("digits", validation=300), DIGITS, seed=0)
    train, validation, test = map(contents, (splits.train, splits.validation, splits.test))
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (597, 300, 900)
    assert not train & validation
    assert not (train | validation) & test


def test_the_split_does_not_depend_on_the_seed_and_a_limit_takes_its_beginning():
    whole = load_images(ImageData("digits", validation=300), DIGITS, seed=0)
    limited = load_images(ImageData("digits", validation=300, train_limit=50), DIGITS, seed=9)
    assert torch.equal(limited.train.images.pixels, whole.train.images.pixels[:50])
    assert torch.equal(limited.validation.images.pixels, whole.validation.images.pixels)
    assert torch.equal(limited.test.images.pixels, whole.test.images.pixels)


def test_only_training_images_are_augmented():
    splits = load_images(ImageData("digits", validation=300, augmentation="shift"), DIGITS, seed=0)
    for part, changes in ((splits.train, True), (splits.validation, False), (splits.test, False)):
        before = part.__getitems__(range(20))["pixel_values"]
        part.set_epoch(1)
        assert torch.equal(part.__getitems__(range(20))["pixel_values"], before) != changes


@pytest.mark.parametrize(
    ("change", "flag"), [({"classes": 9}, "--model.classes 10"), ({"channels": 3}, "--model.channels 1")]
)
def test_a_model_that_does_not_fit_the_images_is_told_what_to_pass(change, flag):
    sizes = {"classes": 10, "image_size": 8, "channels": 1, "patch_size": 4, "width": 16, "depth": 1, "heads": 2}
    with pytest.raises(RecipeError, match=flag):
        load_images(ImageData("digits", validation=300), ViTModel(**sizes | change), seed=0)


def test_a_path_for_the_embedded_digits_is_refused():
    with pytest.raises(DataError, match="/some/where is not read"):
        load_images(ImageData("digits", validation=300, path="/some/where"), DIGITS, seed=0)


def test_the_score_is_accuracy_and_calibration_error_and_the_loss_the_cross_entropy():
    logits, labels = torch.tensor([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]]), torch.tensor([1, 0, 0])
    kept = tuple(tensor.numpy() for tensor in TASK.condense(logits, labels))
    slow = (
        sum(
            math.log(sum(math.exp(z) for z in row)) - row[label]
            for row, label in zip(logits.tolist(), labels, strict=True)
        )
        / 3
    )
    ece, _ = reliability(logits, labels, 15)
    found = TASK.score(EvalPrediction(kept, labels.numpy()), [])
    assert found == {"accuracy": pytest.approx(2 / 3), "ece": pytest.approx(ece, abs=1e-6)}
    assert (kept[0].mean(), kept[1].sum()) == (pytest.approx(slow), 3)
