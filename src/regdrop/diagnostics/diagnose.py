"""diagnose: will R-Drop help this model?"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from regdrop.diagnostics.batches import BatchReader, Items, LabelledBatch
from regdrop.diagnostics.calibration import BINS, CalibrationSums
from regdrop.diagnostics.consistency import ConsistencySums
from regdrop.diagnostics.diagnosis import Diagnosis
from regdrop.diagnostics.layers import active_layers, layer_noise
from regdrop.diagnostics.submodels import answers, preserved, switch_noise_on
from regdrop.diagnostics.verdict import judge
from regdrop.errors import InputError, NoNoiseError
from regdrop.losses.divergence import symmetric_kl
from regdrop.passes.dropout import noise_sources, require_noise
from regdrop.passes.heads import HeadName
from regdrop.passes.rates import at_rate


def diagnose(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    passes: int = 8,
    bins: int = BINS,
    task: HeadName | None = None,
    labels: str = "labels",
    ignore_index: int = -100,
    seed: int = 0,
) -> Diagnosis:
    """Measure how far the sub-models that dropout draws disagree, where that comes from, and what R-Drop could do.

    For every batch the full model (no noise) runs once, `passes` sub-models once each, and two further draws for every
    layer with the noise of that layer alone. Only noise differs between them: normalisation with running statistics
    stays in eval mode. Results are means over all valid items, however they are batched. The logits of one batch and
    its sub-models are held at a time.

    Args:
        model: returns logits, alone or in a tuple, dict or model output; in any mode, on any device. Afterwards its
            modes, buffers, gradients and torch's random state are as before.
        batches: labelled batches, read once: mappings with the labels among them (transformers), or tuples
            `(*inputs, labels)`. Held-out data tells more than training data, on which the task loss may be near 0.
        passes: sub-models K >= 2.
        bins: of the calibration.
        task: what the head computes where its class does not say it; see `attach`. Entries of a multi-label target are
            items of two classes. A regression head is refused.
        labels: the key of the labels in a mapping.
        ignore_index: the label of padding, which is left out; so is -100.
        seed: of the noise.

    Returns:
        A `Diagnosis`: print its `to_text()`, keep its `to_json()`. A model without noise is no error here: the verdict
        says how to switch it on.

    Raises:
        InputError: fewer than two passes, no valid item, or batches and labels that do not fit.
        NonFiniteError: the logits are NaN or infinite.
        UnsupportedError: a head that predicts no classes, or whose logits and labels are not known to fit.

    Source: the inconsistency between training and inference of section 2.3 of arXiv 2106.14448.

    Relations: `r_drop_loss` and `attach` reduce the KL between sub-models that is measured here.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Linear(8, 16), nn.Dropout(0.5), nn.Linear(16, 3))
        >>> found = diagnose(model, [(3 * torch.randn(32, 8), torch.randint(3, (32,)))])
        >>> found.items, found.layers[0].layer, found.verdict.kind
        (32, '1', 'worthwhile')
    """
    if passes < 2:
        raise InputError(f"passes={passes}: sub-models are compared in pairs; use at least 2")
    if bins < 1:
        raise InputError(f"bins={bins} must be at least 1")
    measurement = _Measurement(model, BatchReader(model, task, labels, ignore_index), passes, bins)
    with preserved(model, seed):
        for batch in batches:
            measurement.add(batch)
        return measurement.result(seed)


class _Measurement:
    """The sums over the batches seen so far; takes the model from mode to mode, so it belongs inside `preserved`."""

    def __init__(self, model: nn.Module, reader: BatchReader, passes: int, bins: int) -> None:
        self._model, self._reader, self._passes = model, reader, passes
        self._consistency, self._calibration = ConsistencySums(), CalibrationSums(bins)
        self._layer_kl: defaultdict[str, float] = defaultdict(float)
        self._classes = 0

    def add(self, raw: Any) -> None:
        batch = self._reader.read(raw)
        for items in self._items(batch, self._full_and_sub_models(batch)):
            full, sub = items.logits[0], items.logits[1:]
            self._consistency.add(sub, full, items.target)
            self._calibration.add(full, items.target)
            self._classes = full.shape[-1]
        self._add_layers(batch)

    def result(self, seed: int) -> Diagnosis:
        if not self._consistency.items:
            raise InputError("no valid item: the batches are empty or all their labels mark padding; check them")
        switch_noise_on(self._model)
        layers = active_layers(self._model)
        consistency = self._consistency.means()
        ranking = layer_noise(layers, self._layer_kl, self._consistency.items)
        return Diagnosis(
            model=type(self._model).__name__,
            items=self._consistency.items,
            classes=self._classes,
            passes=self._passes,
            seed=seed,
            sources=len(noise_sources(self._model)),
            active_sources=sum(len(sources) for sources in layers.values()),
            consistency=consistency,
            calibration=self._calibration.result(),
            layers=ranking,
            verdict=judge(consistency, ranking, _refusal(self._model)),
        )

    def _full_and_sub_models(self, batch: LabelledBatch) -> list[tuple[Tensor, ...]]:
        self._model.eval()
        full = answers(self._model, batch.call, batch.head.logits, 1)
        switch_noise_on(self._model)
        return full + answers(self._model, batch.call, batch.head.logits, self._passes)

    def _add_layers(self, batch: LabelledBatch) -> None:
        layers = active_layers(self._model)
        for layer in layers:
            others = [source for other, sources in layers.items() if other != layer for source in sources]
            with at_rate(self._model, others, 0.0):
                pair = answers(self._model, batch.call, batch.head.logits, 2)
            for items in self._items(batch, pair):
                self._layer_kl[layer] += float(symmetric_kl(items.logits).sum())

    def _items(self, batch: LabelledBatch, forwards: list[tuple[Tensor, ...]]) -> Iterator[Items]:
        """For each of the head's logits, the items of all forwards."""
        for place, same in enumerate(zip(*forwards, strict=True)):
            yield self._reader.items(batch, place, torch.stack(same))


def _refusal(model: nn.Module) -> str | None:
    try:
        require_noise(model)
    except NoNoiseError as error:
        return str(error)
    return None
