"""The kernel in C++ for the CPU: float32, float64 and bfloat16, at about the speed of copying the logits."""

import ctypes
from collections.abc import Callable
from functools import cache

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


class _Rows(ctypes.Structure):
    """`struct Rows` of native.cpp."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("logits", "weights", "class_weight", "soft_target", "target")),
        *((name, ctypes.c_void_p) for name in ("grad", "shares")),
        *((name, ctypes.c_int64) for name in ("passes", "items", "classes")),
        *((name, ctypes.c_int64) for name in ("logits_pass", "logits_item", "grad_pass", "grad_item")),
        *((name, ctypes.c_double) for name in ("weight", "alpha", "label_smoothing")),
        ("threads", ctypes.c_int64),
    )


def native(rows: Rows, grad: Tensor | None) -> Tensor:
    """Fulfil the contract of `regdrop.losses.kernels`; what `takes` refuses goes to the eager kernel."""
    logits = rows.logits
    if not takes(logits):
        return eager(rows, grad)
    shares = logits.new_empty((2, logits.shape[1]), dtype=accumulation_dtype(logits.dtype))
    weights, weight = (None, rows.weight) if isinstance(rows.weight, float) else (rows.weight.contiguous(), 0.0)
    class_weight = None if rows.class_weight is None else rows.class_weight.contiguous()
    index, soft = _targets(rows, shares.dtype)
    _entries()[logits.dtype](
        _Rows(
            *map(_address, (logits, weights, class_weight, soft, index, grad, shares)),
            *logits.shape,
            *logits.stride()[:2],
            *((0, 0) if grad is None else grad.stride()[:2]),
            weight,
            rows.alpha,
            rows.label_smoothing,
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
        tensor.device.type == "cpu"
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
    return {dtype: ctypes.CFUNCTYPE(None, ctypes.POINTER(_Rows))((name, compiled)) for dtype, name in ENTRIES.items()}


def _address(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()
