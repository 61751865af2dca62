"""Which kernel computes: by the backend's name and the device of the logits."""

import logging
from functools import cache
from typing import Literal, get_args

from torch import Tensor

from regdrop.errors import InputError, UnsupportedError, nearest
from regdrop.losses.kernels import Kernel
from regdrop.losses.kernels.eager import eager
from regdrop.losses.kernels.native import native, why_unavailable

Backend = Literal["auto", "eager", "native"]

log = logging.getLogger("regdrop")


def choose(backend: Backend, logits: Tensor) -> Kernel:
    """Find the kernel: on the CPU "auto" is native where that can be built, else eager.

    Raises:
        InputError: there is no such backend.
        UnsupportedError: native was asked for where it cannot be built, or for logits that are not on the CPU.
    """
    device = logits.device.type
    if backend == "auto":
        return native if device == "cpu" and _native_or_say_so() else eager
    if backend == "eager":
        return eager
    if backend != "native":
        raise InputError(f"unknown backend {backend!r}: {nearest(str(backend), get_args(Backend))}")
    if device != "cpu":
        raise UnsupportedError(f"backend='native' computes on the CPU, but the logits are on {device}; use 'auto'")
    reason = why_unavailable()
    if reason is not None:
        raise UnsupportedError(f"backend='native': {reason}; or use backend='auto'") from reason
    return native


@cache
def _native_or_say_so() -> bool:
    reason = why_unavailable()
    if reason is not None:
        log.info("R-Drop loss: the eager backend is used, since %s", reason)
    return reason is None
