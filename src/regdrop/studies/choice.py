"""The arm that the validation part chooses: the test part has no say in it."""

from collections.abc import Sequence

from regdrop.studies.findings import count_seeds
from regdrop.studies.metrics import metric
from regdrop.studies.result import ArmResult, Choice
from regdrop.studies.statistics import spread


def choose(key: str, higher_is_better: bool, arms: Sequence[ArmResult]) -> Choice | None:
    """The arm with the best mean over seeds of a metric of the validation part.

    Args:
        key: the metric by which the recipe's task chooses checkpoints.
        higher_is_better: which way it points.
        arms: to choose from; of equals the first is taken.

    Returns:
        The choice; None where no run finished. Arms with more failed runs than others are passed over.
    """
    most = max(len(arm.validation(key)) for arm in arms)
    means = [(arm, _mean(arm, key)) for arm in arms if len(arm.validation(key)) == most > 0]
    if not means:
        return None
    sign = 1.0 if higher_is_better else -1.0
    best, mean = max(means, key=lambda pair: sign * pair[1])
    return Choice(best.name, key, mean, _words(best, key, mean, most))


def _mean(arm: ArmResult, key: str) -> float:
    return spread(list(arm.validation(key).values())).mean


def _words(arm: ArmResult, key: str, mean: float, seeds: int) -> str:
    shown = metric(key)
    return (
        f"The validation part chooses {arm.label} ({shown.title} {shown.show(mean)}, mean of {count_seeds(seeds)}); "
        "what that arm does on the test part is the result, the other arms show the trend."
    )
