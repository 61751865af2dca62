"""What pictures show, in numbers, for those who do not see them."""

from collections.abc import Mapping, Sequence

from regdrop.diagnostics.calibration import Calibration
from regdrop.diagnostics.layers import LayerNoise
from regdrop.reports.curves import ArmRecords, Clock, Quantity, band
from regdrop.studies.metrics import Metric
from regdrop.studies.statistics import spread

UNITS: dict[Clock, str] = {"step": "steps", "seconds": "seconds"}


def curve_words(quantity: Quantity, arms: Sequence[ArmRecords], clock: Clock) -> str:
    """Where the mean curve of each arm begins and ends."""
    words = [_curve(quantity, arm, clock) for arm in arms if quantity.curves(arm, clock)]
    return f"{quantity.title}, {quantity.axis}, against {UNITS[clock]}. {'; '.join(words)}."


def dot_words(metric: Metric, arms: Sequence[tuple[str, Mapping[int, float]]]) -> str:
    """The mean and the range over seeds of each arm."""
    words = [f"{label}: {_range(metric, values)}" for label, values in arms]
    return f"{metric.title} of every seed. {'; '.join(words)}."


def reliability_words(calibration: Calibration) -> str:
    """The calibration error and what the fullest bin holds."""
    full = max(calibration.bins, key=lambda part: part.items)
    return (
        f"Reliability: expected calibration error {calibration.ece:.2%}. The fullest bin, confidence {full.low:.0%} to "
        f"{full.high:.0%}, holds {full.items:,} items: mean confidence {full.confidence or 0:.2%}, accuracy "
        f"{full.accuracy or 0:.2%}."
    )


def layer_words(layers: Sequence[LayerNoise]) -> str:
    """The KL that the noise of each layer makes alone."""
    words = (f"{layer.layer or 'the model itself'} {layer.kl:.4g}" for layer in layers)
    return f"KL with the noise of one layer alone, nats: {', '.join(words)}."


def _curve(quantity: Quantity, arm: ArmRecords, clock: Clock) -> str:
    mean, sd = band(quantity.curves(arm, clock))
    if not len(mean.steps):
        return f"{arm.label}: no step that all seeds have"
    places = [f"{mean.values[at]:.4g} ± {sd[at]:.2g} at {mean.times[at]:.4g}" for at in (0, -1)]
    return f"{arm.label}: from {places[0]} to {places[1]}"


def _range(metric: Metric, values: Mapping[int, float]) -> str:
    if not values:
        return "no run finished"
    low, high = metric.show(min(values.values())), metric.show(max(values.values()))
    return f"mean {metric.show(spread(list(values.values())).mean)}, from {low} to {high}"
