"""How a metric is named, scaled and judged wherever people read it."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """One number that a run reports: `scale` turns the stored value into `unit`, `digits` follow its point."""

    key: str
    name: str
    unit: str
    scale: float
    digits: int
    higher_is_better: bool

    @property
    def title(self) -> str:
        """Name and unit, as a table head or an axis says it."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    @property
    def step(self) -> str:
        """Unit of a difference: percentages differ by points."""
        return "points" if self.unit == "%" else self.unit

    def show(self, value: float, sign: str = "") -> str:
        """The stored value as people read it.

        Example:
            >>> ACCURACY.show(0.9321), ACCURACY.show(0.01, sign="+")
            ('93.21', '+1.00')
        """
        return f"{value * self.scale:{sign}.{self.digits}f}"


ACCURACY = Metric("accuracy", "accuracy", "%", 100.0, 2, higher_is_better=True)
ECE = Metric("ece", "calibration error", "%", 100.0, 2, higher_is_better=False)
LOSS = Metric("loss", "loss", "nats", 1.0, 4, higher_is_better=False)
SUBMODEL_KL = Metric("submodel_kl", "KL between sub-models", "nats", 1.0, 4, higher_is_better=False)
SECONDS = Metric("seconds", "training time", "s", 1.0, 1, higher_is_better=False)
PEAK_BYTES = Metric("peak_bytes", "peak memory", "MB", 1e-6, 0, higher_is_better=False)
COSTS = (SECONDS.key, PEAK_BYTES.key)  # of training, not results: shown, never compared as better or worse
# Stored as fractions, shown a hundredfold as their papers do; BLEU is stored as sacreBLEU gives it, 0 to 100.
TEXT = (
    Metric("f1", "F1", "%", 100.0, 2, higher_is_better=True),
    Metric("matthews", "Matthews correlation", "points", 100.0, 2, higher_is_better=True),
    Metric("pearson", "Pearson correlation", "points", 100.0, 2, higher_is_better=True),
    Metric("spearman", "Spearman correlation", "points", 100.0, 2, higher_is_better=True),
    Metric("bleu", "BLEU", "", 1.0, 2, higher_is_better=True),
    Metric("rouge1", "ROUGE-1", "points", 100.0, 2, higher_is_better=True),
    Metric("rouge2", "ROUGE-2", "points", 100.0, 2, higher_is_better=True),
    Metric("rougeL", "ROUGE-L", "points", 100.0, 2, higher_is_better=True),
    Metric("rougeLsum", "ROUGE-L of sentences", "points", 100.0, 2, higher_is_better=True),
    Metric("perplexity", "perplexity", "", 1.0, 2, higher_is_better=False),
    Metric("word_perplexity", "perplexity a word", "", 1.0, 2, higher_is_better=False),
    Metric("bits_per_character", "bits a character", "", 1.0, 4, higher_is_better=False),
)

KNOWN = {metric.key: metric for metric in (ACCURACY, *TEXT, ECE, SUBMODEL_KL, LOSS, SECONDS, PEAK_BYTES)}


def metric(key: str) -> Metric:
    """The metric a run stores under `key`; one not described here is shown as it is, higher taken as better.

    Example:
        >>> metric("accuracy").title
        'accuracy (%)'
    """
    return KNOWN.get(key, Metric(key, key, "", 1.0, 4, higher_is_better=True))


def metric_order(keys: Iterable[str]) -> list[str]:
    """Each key once, in the order to show them: what the task is about, then the loss, then what it cost.

    Example:
        >>> metric_order(["seconds", "loss", "f1", "loss", "accuracy"])
        ['f1', 'accuracy', 'loss', 'seconds']
    """
    last = [LOSS.key, *COSTS]
    return sorted(dict.fromkeys(keys), key=lambda key: last.index(key) if key in last else -1)
