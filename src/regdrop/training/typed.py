"""JSON read back into dataclasses, every type checked: a file from elsewhere gives its values or a one-line error."""

import json
import math
import types
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

from regdrop.errors import DataError
from regdrop.tasks.sources.rows import is_unicode

T = TypeVar("T")
LARGEST = 1 << 62


def read_typed(kind: type[T], text: str, source: str) -> T:
    """Build a dataclass from the JSON object that `asdict` and `json.dumps` made of one.

    Args:
        kind: a dataclass of str, int, float, bool, None, Any, `tuple[X, ...]`, `dict[str, X]`, `Literal` texts and
            further dataclasses.
        text: one JSON object; keys that the dataclass does not have are ignored.
        source: what errors call it, such as the file's path.

    Raises:
        DataError: not JSON, a key is missing, or a value has another type or is not finite; the text names the key.

    Example:
        >>> from regdrop.diagnostics.calibration import Bin
        >>> read_typed(Bin, '{"low": 0, "high": 0.5, "items": 0, "confidence": null, "accuracy": null}', "bin.json")
        Bin(low=0.0, high=0.5, items=0, confidence=None, accuracy=None)
    """
    try:
        plain = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{source} is not JSON ({' '.join(str(error).split())[:80]}); write it anew") from error
    built: T = _build(kind, plain, source)
    return built


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _build(kind: Any, value: Any, place: str) -> Any:
    if kind is Any:
        return value
    if is_dataclass(kind):
        return _object(kind, value, place)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return None if value is None else _build(arguments[0], value, place)
    if origin is Literal:
        return _choice(arguments, value, place)
    if origin is tuple and isinstance(value, list):
        return tuple(_build(arguments[0], item, f"{place}[{index}]") for index, item in enumerate(value))
    if origin is dict and isinstance(value, dict):
        return {
            _text(key, place): _build(arguments[1], item, f"{place}.{repr(key[:40])[1:-1]}")
            for key, item in value.items()
        }
    return _leaf(origin or kind, value, place)


def _object(kind: Any, value: Any, place: str) -> Any:
    if not isinstance(value, dict):
        raise _wrong("an object", value, place)
    hints = get_type_hints(kind)
    given = [field.name for field in fields(kind) if field.name in value]
    needed = [field.name for field in fields(kind) if field.default is field.default_factory is MISSING]
    missing = [name for name in needed if name not in value]
    if missing:
        raise DataError(f"{place} has no {missing[0]!r}; write it anew")
    return kind(**{name: _build(hints[name], value[name], f"{place}: {name}") for name in given})


def _choice(choices: tuple[Any, ...], value: Any, place: str) -> Any:
    if not isinstance(value, str) or value not in choices:
        raise _wrong(f"one of {', '.join(map(str, choices))}", value, place)
    return value


def _leaf(kind: type, value: Any, place: str) -> Any:
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return _finite(value, place)
    if type(value) is not kind:
        raise _wrong(f"a {kind.__name__}", value, place)
    if isinstance(value, int) and abs(value) > LARGEST:
        raise _wrong(f"a number up to {LARGEST:,}", value, place)
    return _text(value, place) if kind is str else value


def _text(value: Any, place: str) -> Any:
    if not is_unicode(value):
        raise _wrong("valid Unicode", value, place)
    return value


def _finite(value: float, place: str) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise _wrong("a finite number", value, place)
    return number


def _wrong(wanted: str, value: Any, place: str) -> DataError:
    return DataError(f"{place}: expected {wanted} but got {str(value)[:40]!r}; write it anew")
