import pytest
import torch
from torch import nn
from torch.nn import functional

from regdrop.tasks.models.image_classifier import ImageClassifier


class Flat(ImageClassifier):
    """A linear layer over the pixels."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(12, 5)

    def score(self, pixel_values):
        return self.layer(pixel_values.flatten(1))


def test_the_loss_is_the_mean_cross_entropy_or_divided_by_the_items_of_the_whole_batch():
    model, pixels, labels = Flat(), torch.randn(4, 3, 2, 2), torch.tensor([0, 4, 2, 2])
    logits = model.layer(pixels.flatten(1))
    wanted = functional.cross_entropy(logits.double(), labels)
    assert torch.equal(model(pixels).logits, logits)
    assert model(pixels).loss is None
    torch.testing.assert_close(model(pixels, labels).loss.double(), wanted)
    torch.testing.assert_close(model(pixels, labels, num_items_in_batch=20).loss.double(), wanted * 4 / 20)


def test_a_classifier_has_to_say_how_it_scores():
    with pytest.raises(TypeError, match="score"):
        ImageClassifier()
