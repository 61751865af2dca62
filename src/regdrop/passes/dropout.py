"""Which noise a model has, whether it acts, and the refusal of a model that has none."""

import inspect
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from regdrop.errors import NoNoiseError

NOISE_CLASS = re.compile(r"Drop(Path|Block|out)|StochasticDepth")
RATE_NAMES = ("drop_prob", "p", "prob")


@dataclass(frozen=True, slots=True)
class NoiseSource:
    """One place where a model draws random numbers in train mode.

    Attributes:
        name: path of the module that draws, as in `named_modules`; "" is the model itself.
        attribute: where its rate is stored, e.g. "p" or "attention_dropout".
        kind: "dropout", "functional dropout", "LoRA dropout", "drop path" or "layer drop".
        rate: the probability of dropping.
        per_row: whether each row of a batch draws its own mask; False where one draw serves the whole batch.
        idle: why it does not act, e.g. "eval mode" or "p = 0"; None where it acts.
    """

    name: str
    attribute: str
    kind: str
    rate: float
    per_row: bool
    idle: str | None

    @property
    def active(self) -> bool:
        """Whether it acts in the next forward."""
        return self.idle is None


def noise_sources(model: nn.Module) -> list[NoiseSource]:
    """List every dropout, drop-path and layer-drop of a model, acting or not.

    Found are: dropout modules (of torch and of other libraries, by class name), `nn.MultiheadAttention`, recurrent
    layers, and functional dropout whose rate is a number stored on a module under a name with "drop" in it
    (`attention_dropout`, `layerdrop`, ...), as transformers models do.

    Args:
        model: any module; nothing is run.

    Returns:
        One `NoiseSource` each, in the order of `named_modules`.

    Relations: `require_noise` refuses a model in which none acts.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.1)).eval()
        >>> noise_sources(model)
        [NoiseSource(name='1', attribute='p', kind='dropout', rate=0.1, per_row=True, idle='eval mode')]
    """
    return list(_sources(model))


def require_noise(model: nn.Module, *, per_row: bool = False, in_train_mode: bool = False) -> None:
    """Refuse a model whose passes would all agree: it would cost twice the time for nothing.

    LoRA's dropout shows in the output only once its B matrix has left zero, so modules are looked at, not a first KL.

    Args:
        model: the model to judge; nothing is run.
        per_row: count only noise that differs between the rows of one batch, as concatenated passes need.
        in_train_mode: judge as if `model.train()` had been called.

    Raises:
        NoNoiseError: says what was found, why none of it acts, and how to switch it on.

    Example:
        >>> require_noise(nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.1)))
    """
    if not any(_acts(source, per_row, in_train_mode) for source in _sources(model)):
        raise NoNoiseError(_refusal(model, per_row))


def _acts(source: NoiseSource, per_row: bool, in_train_mode: bool) -> bool:
    mode_fits = source.active or (in_train_mode and source.idle == "eval mode")
    return mode_fits and (source.per_row or not per_row)


def _sources(model: nn.Module) -> Iterator[NoiseSource]:
    for name, module in model.named_modules():
        for attribute in _rate_attributes(module):
            rate = float(vars(module)[attribute])
            yield NoiseSource(
                name, attribute, _kind(name, module, attribute), rate, _per_row(module, attribute), _idle(module, rate)
            )


def _rate_attributes(module: nn.Module) -> list[str]:
    if isinstance(module, _DropoutNd) or NOISE_CLASS.search(type(module).__name__):
        own = [name for name in RATE_NAMES if _is_rate(vars(module).get(name))]
        if own:
            return own[:1]
    return [name for name, value in vars(module).items() if "drop" in name.lower() and _is_rate(value)]


def _is_rate(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _kind(name: str, module: nn.Module, attribute: str) -> str:
    if "lora_dropout" in name:
        return "LoRA dropout"
    if "layerdrop" in attribute.lower():
        return "layer drop"
    if attribute == "drop_prob" or "StochasticDepth" in type(module).__name__:
        return "drop path"
    return "dropout" if attribute in RATE_NAMES else "functional dropout"


def _per_row(module: nn.Module, attribute: str) -> bool:
    return "layerdrop" not in attribute.lower() and getattr(module, "mode", None) != "batch"


def _idle(module: nn.Module, rate: float) -> str | None:
    if rate == 0:
        return "p = 0"
    if isinstance(module, nn.RNNBase) and module.num_layers == 1:
        return "acts only between layers, num_layers = 1"
    return None if module.training else "eval mode"


def _refusal(model: nn.Module, per_row: bool) -> str:
    sources = noise_sources(model)
    found = Counter(f"{source.kind} {source.attribute}={source.rate:g}{_why(source)}" for source in sources)
    listed = ", ".join(f"{count} x {text}" for text, count in found.most_common(6)) or "no dropout of any kind"
    first = f", first in {sources[0].name!r}" if sources and sources[0].name else ""
    return (
        f"{type(model).__name__} would give the same output in every pass, at twice the cost: found {listed}{first}. "
        f"{_remedy(model, sources, per_row)}"
    )


def _why(source: NoiseSource) -> str:
    if source.rate == 0:
        return ""
    return f" ({source.idle or 'one draw for the whole batch'})"


def _remedy(model: nn.Module, sources: list[NoiseSource], per_row: bool) -> str:
    if any(source.idle == "eval mode" for source in sources):
        return "Call model.train(); from_pretrained returns a model in eval mode"
    if per_row and any(source.active for source in sources):
        return "Use mode='sequential', which draws anew for every pass"
    if knobs := _config_knobs(model):
        return (
            f"Set one of its config's {', '.join(knobs)}, e.g. from_pretrained(..., {knobs[0]}=0.1), and model.train()"
        )
    if knobs := _constructor_knobs(model):
        return f"Build it with one of {', '.join(knobs)}, e.g. {knobs[0]}=0.1, then call model.train()"
    return "Add dropout, e.g. nn.Dropout(0.1), then call model.train()"


def _config_knobs(model: nn.Module) -> list[str]:
    config = getattr(model, "config", None)
    values = config if isinstance(config, Mapping) else getattr(config, "__dict__", {})
    return [name for name, value in values.items() if "drop" in name and (value is None or _is_rate(value))]


def _constructor_knobs(model: nn.Module) -> list[str]:
    return [name for name in inspect.signature(type(model)).parameters if "drop" in name]
