"""The loss of plain training: one pass, divided by the items of the whole global batch as R-Drop's is."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from regdrop.losses.rdrop import Task
from regdrop.passes.batch import Call
from regdrop.passes.heads import Head, decided_task, find_head
from regdrop.passes.labels import LabelTaker
from regdrop.passes.outputs import logits_of
from regdrop.passes.targets import count_items, loss_target


class PlainLoss:
    """What a baseline trains on: `loss = sum_i task(z_i, y_i) / (valid items of the global batch)`.

    Most heads of transformers average over their own micro-batch whatever the Trainer counted, so that accumulation
    multiplies their gradient and uneven padding bends it; a comparison with such a baseline would compare that.

    Args:
        model: whose head decides the loss, as for `attach`.
        label_smoothing: mass spread evenly over the classes; classification only.

    Relations: `regdrop.attach` is its counterpart with R-Drop.

    Example:
        >>> import torch
        >>> class Net(nn.Linear):
        ...     def forward(self, x, labels=None):
        ...         return {"logits": super().forward(x)}
        >>> model = Net(4, 3)
        >>> batch = {"x": torch.zeros(2, 4), "labels": torch.tensor([0, 2])}
        >>> loss, _ = PlainLoss(model)(model, batch)
        >>> twice, _ = PlainLoss(model)(model, batch, num_items=torch.tensor(1))
        >>> print(f"{twice / loss:.1f}")
        2.0
    """

    def __init__(self, model: nn.Module, label_smoothing: float = 0.0) -> None:
        self.head: Head = find_head(model)
        self._inner = model
        self._taker = LabelTaker(model, model, self.head)
        self._smoothing = label_smoothing

    def __call__(
        self, model: nn.Module, inputs: Mapping[str, Any], num_items: Tensor | int | None = None
    ) -> tuple[Tensor, Any]:
        """The loss of a batch and the model's output.

        Args:
            model: the one given at first, or a wrapper of it.
            inputs: keyword arguments of its forward, labels among them.
            num_items: valid items of the global batch; None: of this batch.
        """
        labelled = self._taker.take(Call((), dict(inputs)))
        outputs = model(**labelled.call.kwargs)
        (logits,), (labels,) = logits_of(outputs, self.head.logits), labelled.targets or ()
        stacked = logits.unsqueeze(0)
        target, ignored = loss_target(self.head, stacked, labels)
        task = decided_task(self.head, self._inner, stacked, target)
        total = _summed(task, logits, target, ignored, self._smoothing)
        return total / (
            count_items(task, target, logits.shape[-1], ignored) if num_items is None else num_items
        ), outputs


def _summed(task: Task, logits: Tensor, target: Tensor, ignored: int, smoothing: float) -> Tensor:
    logits = logits.float()
    if task == "classification":
        flat, classes = logits.flatten(0, -2), target.flatten()
        return functional.cross_entropy(flat, classes, ignore_index=ignored, reduction="sum", label_smoothing=smoothing)
    target = target.float().view_as(logits)
    if task == "regression":
        return functional.mse_loss(logits, target, reduction="sum")
    counted = target != ignored
    return functional.binary_cross_entropy_with_logits(logits[counted], target[counted], reduction="sum")
