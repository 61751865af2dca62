"""How far sub-models disagree while a model trains, measured on the side at each evaluation."""

from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, Subset

from regdrop.diagnostics.batches import BatchReader
from regdrop.diagnostics.submodels import answers, preserved, switch_noise_on
from regdrop.losses.divergence import symmetric_kl
from regdrop.tasks.task import Splits

SUBMODEL_KL = "submodel_kl"
SUBMODELS = 4


class ConsistencyMonitor:
    """The KL between sub-models, with R-Drop or without, as a mean over the same few items of the validation part.

        mean over items and pairs a<b of 1/2 [KL(P_a || P_b) + KL(P_b || P_a)],   P_k: the model with one draw of noise

    The noise comes from a seed of its own, the same at every evaluation: training neither feels nor changes it.

    Args:
        model: in any mode.
        splits: gives the validation part and its collation.
        items: how many of its first items to take.
        batch: how many of them at once.

    Source: Eq. 2 of arXiv 2106.14448.
    """

    def __init__(self, model: nn.Module, splits: Splits, items: int, batch: int) -> None:
        validation: Any = splits.validation
        first = Subset(validation, range(min(items, len(validation))))
        self._model = model
        self._loader = DataLoader(first, batch, collate_fn=splits.collate, generator=torch.Generator())

    def measure(self) -> dict[str, float]:
        """The KL in nats under the name it has among an evaluation's metrics.

        Raises:
            UnsupportedError: a head that predicts no classes.
        """
        reader = BatchReader(self._model, None, "labels", -100)
        total, count = 0.0, 0
        with preserved(self._model, seed=0):
            switch_noise_on(self._model)
            for raw in self._loader:
                batch = reader.read(raw)
                forwards = answers(self._model, batch.call, batch.head.logits, SUBMODELS)
                for place, same in enumerate(zip(*forwards, strict=True)):
                    logits = reader.items(batch, place, torch.stack(same)).logits
                    total += float(symmetric_kl(logits).sum())
                    count += logits.shape[1]
        return {SUBMODEL_KL: total / count}
