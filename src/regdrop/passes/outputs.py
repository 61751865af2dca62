"""Tensors inside whatever a model takes or returns: a tensor, tuple, dict, dataclass or model output."""

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

from regdrop.errors import UnsupportedError


def map_tensors(function: Callable[..., Any], value: Any, *others: Any) -> Any:
    """Apply a function to every tensor of a nested structure and rebuild the structure around the results.

    Tuples, named tuples, lists, mappings (transformers' outputs and batches among them) and dataclasses are entered;
    anything else is kept as it is.

    Args:
        function: called with the tensor of `value` and the tensors at the same place in `others`.
        value: the structure.
        others: structures of the same shape.

    Example:
        >>> import torch
        >>> map_tensors(lambda a, b: a + b, {"x": torch.ones(2), "n": 3}, {"x": torch.ones(2), "n": 3})
        {'x': tensor([2., 2.]), 'n': 3}
    """
    if isinstance(value, Tensor):
        return function(value, *others)
    if isinstance(value, Mapping):
        rebuilt: Any = copy.copy(value)
        for key in value:
            rebuilt[key] = map_tensors(function, value[key], *(other[key] for other in others))
        return rebuilt
    if isinstance(value, list | tuple):
        parts = [map_tensors(function, *parts) for parts in zip(value, *others, strict=True)]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        parts = [map_tensors(function, *(getattr(each, name) for each in (value, *others))) for name in names]
        return dataclasses.replace(value, **dict(zip(names, parts, strict=True)))
    return value


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Every tensor of a nested structure, depth first."""
    found: list[Tensor] = []

    def collect(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    map_tensors(collect, value)
    return iter(found)


def logits_of(output: Any, names: Sequence[str] = ("logits",)) -> tuple[Tensor, ...]:
    """The logits in a model's output: by name where it has names, else by position.

    Args:
        output: a tensor, a tuple or list, a mapping, or an object with attributes.
        names: what they are called, one or several (question answering has `start_logits` and `end_logits`). In a
            tuple they are the first tensors with at least two dimensions; scalars are losses.

    Returns:
        One tensor a name.

    Raises:
        UnsupportedError: nothing of that name, or too few tensors.

    Example:
        >>> import torch
        >>> [z.shape for z in logits_of({"loss": None, "logits": torch.zeros(2, 4, 10)})]
        [torch.Size([2, 4, 10])]
    """
    found: list[Any]
    if isinstance(output, Mapping):
        found = [output.get(name) for name in names]
    elif isinstance(output, Tensor | list | tuple):
        entries = [output] if isinstance(output, Tensor) else output
        found = [entry for entry in entries if isinstance(entry, Tensor) and entry.ndim >= 2][: len(names)]
    else:
        found = [getattr(output, name, None) for name in names]
    tensors = tuple(entry for entry in found if isinstance(entry, Tensor))
    if len(tensors) < len(names):
        raise UnsupportedError(f"the model's output has no {' and '.join(names)}; it holds {_contents(output)}")
    return tensors


def with_loss(output: Any, loss: Tensor) -> Any:
    """The same output with its loss replaced; where it has no place for one, `(loss, *output)`.

    Example:
        >>> import torch
        >>> with_loss((None, torch.zeros(1, 2)), torch.tensor(1.0))
        (tensor(1.), tensor([[0., 0.]]))
    """
    if dataclasses.is_dataclass(output) and not isinstance(output, type):
        return dataclasses.replace(output, loss=loss)
    if isinstance(output, Mapping):
        return {"loss": loss, **{key: value for key, value in output.items() if key != "loss"}}
    if isinstance(output, Tensor):
        return (loss, output)
    if isinstance(output, list | tuple):
        slot = next((at for at, entry in enumerate(output) if entry is None or _is_scalar(entry)), None)
        if slot is None:
            return (loss, *output)
        entries = [*output[:slot], loss, *output[slot + 1 :]]
        return type(output)(*entries) if hasattr(output, "_fields") else type(output)(entries)
    rebuilt = copy.copy(output)
    rebuilt.loss = loss
    return rebuilt


def _is_scalar(entry: Any) -> bool:
    return isinstance(entry, Tensor) and entry.ndim == 0


def _contents(output: Any) -> str:
    if isinstance(output, Mapping):
        return f"the keys {', '.join(map(repr, output))}"
    if isinstance(output, list | tuple):
        return f"{len(output)} entries: {', '.join(type(entry).__name__ for entry in output)}"
    return f"a {type(output).__name__}"
