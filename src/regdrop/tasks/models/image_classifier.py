"""What every image classifier has in common: a batch of the task in, logits and loss out."""

from abc import ABC, abstractmethod

from torch import Tensor, nn
from torch.nn import functional
from transformers.modeling_outputs import ImageClassifierOutput


class ImageClassifier(nn.Module, ABC):
    """A network that scores images, with the mean cross-entropy over the batch as its loss.

    Relations: `regdrop.attach` replaces the loss while training.
    """

    accepts_loss_kwargs = True  # the Trainer passes num_items_in_batch, so accumulation is exact

    @abstractmethod
    def score(self, pixel_values: Tensor) -> Tensor:
        """Logits `(batch, classes)` of images `(batch, channels, height, width)`."""

    def forward(
        self,
        pixel_values: Tensor,
        labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
    ) -> ImageClassifierOutput:
        """Score images, and compare with `labels` where given.

        Args:
            pixel_values: float `(batch, channels, height, width)`.
            labels: int64 `(batch,)`.
            num_items_in_batch: divide the summed loss by this instead of the batch size, under accumulation.
        """
        logits = self.score(pixel_values)
        loss = None
        if labels is not None:
            total = functional.cross_entropy(logits.float(), labels, reduction="sum")
            loss = total / (len(labels) if num_items_in_batch is None else num_items_in_batch)
        return ImageClassifierOutput(loss=loss, logits=logits)
