"""The kernel in C++ for the CPU: float32, float64 and bfloat16, at about the speed of copying the logits."""

import ctypes
from collections.abc import Callable
from functools import cache
from struct import Struct

import torch
from torch import Tensor

from regdrop.errors import UnsupportedError
from regdrop.losses.kernels import Rows, accumulation_dtype
from regdrop.losses.kernels.build import library
from regdrop.losses.kernels.eager import eager

ENTRIES = {
    torch.float32: "regdrop_float32",
    torch.float64: "regdrop_float64",
    torch.bfloat16: "regdrop_bfloat16",
}
MOST_PASSES = 16


# `struct Rows` of cpp/rows.h: 7 addresses, 3 sizes, 4 strides; 3 numbers; 2 switches.
_LAYOUT = Struct("=7Q7q3d2q")


def native(rows: Rows, grad: Tensor | None) -> Tensor:
    """Fulfil the contract of `regdrop.losses.kernels`; what `takes` refuses goes to the eager kernel."""
    logits = rows.logits
    if not takes(logits):
        return eager(rows, grad)
    passes, items, classes = logits.shape
    dtype = accumulation_dtype(logits.dtype)
    shares = torch.empty((2,) if rows.summed else (2, items), dtype=dtype, device=logits.device)
    weights, weight = (None, rows.weight) if isinstance(rows.weight, float) else (rows.weight.contiguous(), 0.0)
    class_weight = None if rows.class_weight is None else rows.class_weight.contiguous()
    index, soft = _targets(rows, dtype)
    _entries()[logits.dtype](
        _LAYOUT.pack(
            logits.data_ptr(),
            _address(weights),
            _address(class_weight),
            _address(soft),
            _address(index),
            _address(grad),
            shares.data_ptr(),
            passes,
            items,
            classes,
            *logits.stride()[:2],
            *((0, 0) if grad is None else grad.stride()[:2]),
            weight,
            rows.alpha,
            rows.label_smoothing,
            rows.summed,
            torch.get_num_threads(),
        )
    )
    if grad is not None and grad.data_ptr() == logits.data_ptr():
        # Written behind autograd's back: whoever saved these logits must find out.
        torch.autograd.graph.increment_version(grad)
    return shares


def takes(tensor: Tensor) -> bool:
    """Whether the compiled kernel reads such logits: on the CPU, not float16, classes side by side."""
    return (
        tensor.is_cpu
        and tensor.dtype in ENTRIES
        and tensor.shape[0] <= MOST_PASSES
        and (tensor.stride(-1) == 1 or tensor.shape[-1] == 1)
    )


def _targets(rows: Rows, dtype: torch.dtype) -> tuple[Tensor | None, Tensor | None]:
    """Class indices or probabilities, whichever the target is, as the library reads them."""
    if rows.target is None:
        return None, None
    if rows.target.ndim == 1:
        return rows.target.to(torch.int64).contiguous(), None
    return None, rows.target.to(dtype).contiguous()


@cache
def why_unavailable() -> UnsupportedError | None:
    """What stops the kernel from being built here, or None; tried once a process."""
    try:
        _entries()
    except UnsupportedError as error:
        return error
    return None


@cache
def _entries() -> dict[torch.dtype, Callable[..., None]]:
    compiled = library()
    return {dtype: ctypes.CFUNCTYPE(None, ctypes.c_char_p)((name, compiled)) for dtype, name in ENTRIES.items()}


def _address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()
