"""The kernel in C++ for the CPU: float32, float64 and bfloat16, at about the speed of copying the logits."""

import ctypes
from collections.abc import Callable
from functools import cache
from struct import Struct

import torch
from torch import Tensor

from regdrop.errors import UnsupportedError
from regdrop.losses.kernels import Parts, Rows, accumulation_dtype
from regdrop.losses.kernels.build import library
from regdrop.losses.kernels.eager import eager

ENTRIES = {
    torch.float32: "regdrop_float32",
    torch.float64: "regdrop_float64",
    torch.bfloat16: "regdrop_bfloat16",
}
MOST_PASSES = 16
_NUMBER = {dtype: torch.empty((), dtype=accumulation_dtype(dtype), device="cpu") for dtype in ENTRIES}


# `struct Rows` of cpp/rows.h: 9 addresses, 3 sizes, 4 strides; 3 numbers; 2 switches.
_LAYOUT = Struct("=9Q7q3d2q")


def native(rows: Rows, grad: Tensor | None) -> Parts:
    """Fulfil the contract of `regdrop.losses.kernels`; what `takes` refuses goes to the eager kernel."""
    logits, weight = rows.logits, rows.weight
    if not takes(logits):
        return eager(rows, grad)
    shape, address, grad_address = logits.shape, logits.data_ptr(), 0 if grad is None else grad.data_ptr()
    number = _NUMBER[logits.dtype]
    loss = torch.empty_like(number) if rows.summed else number.new_empty(shape[1])
    task, kl = torch.empty_like(loss), torch.empty_like(loss)
    weights, weight = (None, weight) if isinstance(weight, float) else (weight.contiguous(), 0.0)
    class_weight = None if rows.class_weight is None else rows.class_weight.contiguous()
    index, soft = _targets(rows)
    _entries()[logits.dtype](
        _LAYOUT.pack(
            address,
            0 if weights is None else weights.data_ptr(),
            0 if class_weight is None else class_weight.data_ptr(),
            0 if soft is None else soft.data_ptr(),
            0 if index is None else index.data_ptr(),
            grad_address,
            loss.data_ptr(),
            task.data_ptr(),
            kl.data_ptr(),
            *shape,
            *logits.stride()[:2],
            *((0, 0) if grad is None else grad.stride()[:2]),
            weight,
            rows.alpha,
            rows.label_smoothing,
            rows.summed,
            torch.get_num_threads(),
        )
    )
    if grad is not None and grad_address == address:
        # Written behind autograd's back: whoever saved these logits must find out.
        torch.autograd.graph.increment_version(grad)
    return loss, task, kl


def takes(tensor: Tensor) -> bool:
    """Whether the compiled kernel reads such logits: on the CPU, not float16, classes side by side."""
    return (
        tensor.is_cpu
        and tensor.dtype in ENTRIES
        and tensor.shape[0] <= MOST_PASSES
        and (tensor.stride()[-1] == 1 or tensor.shape[-1] == 1)
    )


def _targets(rows: Rows) -> tuple[Tensor | None, Tensor | None]:
    """Class indices or probabilities, whichever the target is, as the library reads them."""
    target = rows.target
    if target is None:
        return None, None
    if target.ndim == 1:
        return target if target.dtype == torch.int64 and target.is_contiguous() else target.long().contiguous(), None
    return None, target.to(accumulation_dtype(rows.logits.dtype)).contiguous()


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
