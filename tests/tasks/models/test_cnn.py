import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from regdrop.errors import RecipeError
from regdrop.passes.attach import attach
from regdrop.tasks.models.cnn import GROUPS, CNNModel, ConvolutionalClassifier
from regdrop.training.evaluation import evaluate
from regdrop.training.recipe import load_recipe
from regdrop.training.run import train

TINY = {"classes": 10, "image_size": 9, "width": 8, "depth": 2}
DIGITS = {
    "data.source": "digits",
    "data.validation": 300,
    "data.train_limit": "null",
    "model.image_size": 8,
    "model.width": 8,
    "model.depth": 2,
    "train.steps": 60,
    "train.warmup_steps": 5,
    "train.learning_rate": 0.01,
    "train.eval_every": 30,
}


def network(**changes):
    """With a head that is not zero, so that it tells images apart."""
    torch.manual_seed(0)
    model = ConvolutionalClassifier(CNNModel(**TINY | changes))
    nn.init.normal_(model.head.weight)
    return model


def slow(model, image):
    """The logits of one image, a group of channels at a time."""
    for block in model.blocks:
        image = functional.conv2d(image[None], block[0].weight, padding=1)[0]
        height, width = (side // 2 for side in image.shape[1:])
        tiles = image[:, : 2 * height, : 2 * width].reshape(len(image), height, 2, width, 2)
        image = tiles.amax((2, 4))
        groups = [(part - part.mean()) / (part.var(correction=0) + 1e-5).sqrt() for part in image.chunk(GROUPS)]
        image = torch.cat(groups).clamp(min=0)
    return model.head.weight @ image.flatten() + model.head.bias


def test_logits_equal_those_of_one_image_at_a_time():
    model, pixels = network().eval(), torch.randn(3, 3, 9, 9)
    wanted = torch.stack([slow(model, image) for image in pixels])
    torch.testing.assert_close(model(pixels).logits, wanted, rtol=1e-4, atol=1e-4)


def test_no_image_of_a_batch_is_felt_by_another():
    model, pixels = network(dropout=0.0).train(), torch.randn(4, 3, 9, 9)
    before = model(pixels).logits
    changed = torch.cat([pixels[:2], 100 * torch.randn(2, 3, 9, 9)])
    torch.testing.assert_close(model(changed).logits[:2], before[:2])
    assert not list(model.buffers())


def test_a_head_of_zeros_starts_undecided_in_every_pass():
    model = ConvolutionalClassifier(CNNModel(**TINY, dropout=0.5)).train()
    handle = attach(model, alpha=1.0)
    loss = model(pixel_values=torch.randn(5, 3, 9, 9), labels=torch.arange(5)).loss
    assert loss.item() == pytest.approx(2 * math.log(10), abs=1e-5)
    assert handle.pop_metrics()["kl"] == 0


@pytest.mark.parametrize("rates", [{"dropout": 0.3}, {"dropout": 0.0, "head_dropout": 0.3}])
def test_either_rate_makes_the_passes_differ(rates):
    model = network(**rates).train()
    handle = attach(model, alpha=1.0)
    model(pixel_values=torch.randn(5, 3, 9, 9), labels=torch.arange(5)).loss.backward()
    assert handle.pop_metrics()["kl"] > 0
    assert all(weight.grad.abs().sum() > 0 for weight in model.parameters())


@pytest.mark.parametrize("mode", ["concat", "replay", "head"])
def test_it_trains_in_every_mode(mode):
    model = network(head_dropout=0.3).train()
    handle = attach(model, alpha=1.0, mode=mode)
    model(pixel_values=torch.randn(5, 3, 9, 9), labels=torch.arange(5)).loss.backward()
    assert handle.pop_metrics()["kl"] > 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"width": 12}, "model.width 12 is not a multiple of 8"),
        ({"depth": 4}, "images of 9 pixels cannot be halved 4 times"),
        ({"depth": 0}, "model.depth is 0"),
        ({"dropout": 1.0}, "model.dropout is 1.0"),
        ({"head_dropout": -0.1}, "model.head_dropout is -0.1"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(change, words):
    with pytest.raises(RecipeError, match=words):
        CNNModel(**TINY | change)


def test_it_learns_the_digits_and_its_saved_weights_score_alike(tmp_path):
    recipe = load_recipe("fashion_mnist_cnn", [f"--{key}={value}" for key, value in DIGITS.items()])
    summary = train(recipe, tmp_path / "run", seed=0, progress=False)
    assert summary.test["accuracy"] > 0.7
    assert evaluate(load_recipe(tmp_path / "run"), tmp_path / "run", progress=False) == summary.test
