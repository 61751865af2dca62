"""What a checkpoint may not be: the limits every reader keeps, and how a refusal names the file and the key."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from os import PathLike

import torch
from torch import Tensor

from regdrop.errors import CheckpointError

StateDict = dict[str, Tensor]

MAX_FILE_BYTES = 8 << 30  # ViT-H/14 in float32 takes 2.5 GB
MAX_HEADER_BYTES = 16 << 20  # names, shapes and offsets of all weights; ViT-H/14 needs 60 kB
MAX_TENSORS = 10_000
MAX_RATIO = 200  # unpacked bytes for one packed byte; trained weights barely shrink

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@contextmanager
def named(path: str | PathLike[str]) -> Iterator[None]:
    """Let every refusal inside begin with the file's name, and turn the system's errors into refusals."""
    try:
        yield
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}") from error


def shown(key: object) -> str:
    """A key of a stranger's file, safe to print: escaped, and cut where it is long."""
    text = repr(key) if isinstance(key, str) else f"of type {type(key).__name__}"
    return text if len(text) <= 120 else f"{text[:100]}...'"


def check_size(size: int) -> None:
    """Refuse a file that no ViT can fill."""
    if size > MAX_FILE_BYTES:
        raise CheckpointError(f"is {size:,} bytes, over the limit of {MAX_FILE_BYTES:,}")


def check_count(count: int) -> None:
    """Refuse more entries than any ViT has."""
    if count > MAX_TENSORS:
        raise CheckpointError(f"has {count:,} entries, over the limit of {MAX_TENSORS:,}")


def check_backed(tensors: Mapping[str, Tensor], size: int) -> None:
    """Refuse weights that are larger than the file they came from, as repeated or zero-stride views are."""
    total = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if total > size:
        raise CheckpointError(
            f"declares weights of {total:,} bytes, but the file is {size:,} bytes; weights are repeated"
        )


def check_keys(found: Collection[str], expected: Collection[str]) -> None:
    """Refuse missing and extra keys."""
    missing = [key for key in expected if key not in found]
    if missing:
        raise CheckpointError(f"key {shown(missing[0])} is missing ({len(missing)} missing in all)")
    extra = [key for key in found if key not in expected]
    if extra:
        raise CheckpointError(f"key {shown(extra[0])} does not belong to this ViT ({len(extra)} extra in all)")


def check_shape(key: str, found: torch.Size, expected: torch.Size) -> None:
    """Refuse any other shape, be it broadcastable."""
    if found != expected:
        raise CheckpointError(f"key {shown(key)} has shape {tuple(found)}, but this ViT needs {tuple(expected)}")


def finite_float32(key: str, weight: Tensor) -> Tensor:
    """The weight as float32 in main memory; refuses other kinds of numbers, NaN and inf."""
    if weight.dtype not in FLOATS:
        raise CheckpointError(f"key {shown(key)} has dtype {weight.dtype}; only floating point weights are read")
    weight = weight.detach().to("cpu", torch.float32)
    if not bool(torch.isfinite(weight).all()):
        raise CheckpointError(f"key {shown(key)} holds NaN or inf; the checkpoint is damaged or its training diverged")
    return weight
