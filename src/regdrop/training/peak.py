"""Peak memory from a moment on: that of the CUDA device, else that of the process, which Linux alone tells."""

import ctypes
import gc
import sys
from pathlib import Path

import torch

PROCESS = Path("/proc/self")


class PeakMemory:
    """The most memory held at once since this was made.

    With CUDA it is what tensors hold on the current device, else what of the process is resident, with all that it
    held before. There is one mark a process, or device: a later `PeakMemory` sets that of an earlier one back.

    Example:
        >>> peak = PeakMemory()
        >>> numbers = torch.ones(8 << 20)  # 32 MiB
        >>> extra = peak.extra_bytes
        >>> extra is None or extra > 30 << 20
        True
    """

    def __init__(self) -> None:
        give_memory_back()
        self._held = _begin()

    @property
    def bytes(self) -> int | None:
        """The peak so far; None where the system does not tell, or does not let its mark be set back."""
        if self._held is None:
            return None
        return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else _resident("VmHWM")

    @property
    def extra_bytes(self) -> int | None:
        """How far the peak so far lies above what was held at the beginning; None where it is not told."""
        peak = self.bytes
        return None if peak is None or self._held is None else max(0, peak - self._held)


def give_memory_back() -> None:
    """Return what Python and the C allocator kept to the system (glibc; elsewhere what Python kept alone)."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def _begin() -> int | None:
    """Set the mark back to what is held; returns that."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    try:
        (PROCESS / "clear_refs").write_text("5")  # forget the highest mark so far; some containers forbid it
    except OSError:
        return None
    return _resident("VmRSS")


def _resident(field: str) -> int:
    lines = (PROCESS / "status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024
