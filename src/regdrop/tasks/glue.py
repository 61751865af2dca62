"""The eight tasks of GLUE that the paper reports: their columns, labels and metrics."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

HUB = "nyu-mll/glue"
HIGHEST_SCORE = 5  # of STS-B
GlueName = Literal["cola", "mnli", "mrpc", "qnli", "qqp", "rte", "sst2", "stsb"]
Values = NDArray[Any]


@dataclass(frozen=True, slots=True)
class GlueTask:
    """One task.

    Attributes:
        texts: the columns that hold a sentence, or a pair of them; the label is in `label`.
        classes: how many there are; 1 where the label is a number.
        metrics: GLUE's, the one that chooses the checkpoint first.
        validation: how the hub calls the part that GLUE publishes with labels beside the training part.
    """

    texts: tuple[str, ...]
    classes: int
    metrics: tuple[str, ...]
    validation: str = "validation"

    @property
    def highest(self) -> int:
        """The highest label; the lowest is 0."""
        return HIGHEST_SCORE if self.classes == 1 else self.classes - 1


PAIR = ("sentence1", "sentence2")
GLUE: Mapping[GlueName, GlueTask] = {
    "cola": GlueTask(("sentence",), 2, ("matthews",)),
    "mnli": GlueTask(("premise", "hypothesis"), 3, ("accuracy",), "validation_matched"),
    "mrpc": GlueTask(PAIR, 2, ("accuracy", "f1")),
    "qnli": GlueTask(("question", "sentence"), 2, ("accuracy",)),
    "qqp": GlueTask(("question1", "question2"), 2, ("accuracy", "f1")),
    "rte": GlueTask(PAIR, 2, ("accuracy",)),
    "sst2": GlueTask(("sentence",), 2, ("accuracy",)),
    "stsb": GlueTask(PAIR, 1, ("pearson", "spearman")),
}


def glue_score(metric: str, answers: Values, labels: Values) -> float:
    """One of GLUE's metrics, as a fraction.

    Of equal answers nothing can be said: their correlation is 0.

    Args:
        metric: "accuracy", "f1" (of class 1), "matthews", "pearson" or "spearman".
        answers: chosen classes or predicted numbers, `(rows,)`.
        labels: the right ones.

    Source: Wang et al., arXiv 1804.07461, table 1.

    Example:
        >>> answers, labels = np.array([1, 1, 0, 0]), np.array([1, 0, 0, 0])
        >>> glue_score("accuracy", answers, labels), round(glue_score("f1", answers, labels), 4)
        (0.75, 0.6667)
    """
    return float(METRICS[metric](labels, answers))


def _zero_if_constant(correlate: Callable[[Values, Values], Any]) -> Callable[[Values, Values], float]:
    def of(labels: Values, answers: Values) -> float:
        return 0.0 if np.ptp(labels) == 0 or np.ptp(answers) == 0 else correlate(labels, answers)

    return of


METRICS: Mapping[str, Callable[[Values, Values], float]] = {
    "accuracy": accuracy_score,
    "f1": lambda labels, answers: f1_score(labels, answers, zero_division=0.0),
    "matthews": _zero_if_constant(matthews_corrcoef),
    "pearson": _zero_if_constant(lambda labels, answers: pearsonr(labels, answers).statistic),
    "spearman": _zero_if_constant(lambda labels, answers: spearmanr(labels, answers).statistic),
}
