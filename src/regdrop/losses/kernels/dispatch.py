"""Which kernel computes: by the backend's name and the device of the logits."""

import logging
from functools import cache
from importlib.util import find_spec
from typing import Literal, get_args

from torch import Tensor

from regdrop.errors import InputError, UnsupportedError, nearest
from regdrop.losses.kernels import Kernel
from regdrop.losses.kernels.compiled import compiled
from regdrop.losses.kernels.eager import eager
from regdrop.losses.kernels.native import native, why_unavailable

Backend = Literal["auto", "eager", "compile", "native"]

log = logging.getLogger("regdrop")


def choose(backend: Backend, logits: Tensor) -> Kernel:
    """Find the kernel: "auto" is native on the CPU and compile on CUDA where they can be had, else eager.

    Raises:
        InputError: there is no such backend.
        UnsupportedError: native was asked for where it cannot be built, or for logits that are not on the CPU.
    """
    device = logits.device.type
    if backend == "auto":
        return _best(device)
    if backend == "eager":
        return eager
    if backend == "compile":
        return compiled
    if backend != "native":
        raise InputError(f"unknown backend {backend!r}: {nearest(str(backend), get_args(Backend))}")
    if device != "cpu":
        raise UnsupportedError(f"backend='native' computes on the CPU, but the logits are on {device}; use 'auto'")
    reason = why_unavailable()
    if reason is not None:
        raise UnsupportedError(f"backend='native': {reason}; or use backend='auto'") from reason
    return native


@cache
def _best(device: str) -> Kernel:
    """The kernel of "auto", found once a process, and one line in the log where it is not the fastest."""
    if device == "cuda" and find_spec("triton"):
        return compiled
    reason = why_unavailable() if device == "cpu" else f"there is no faster one for {device} here"
    if reason is None:
        return native
    log.info("the R-Drop loss uses its eager backend: %s", reason)
    return eager
