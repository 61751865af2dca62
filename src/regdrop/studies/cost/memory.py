"""Peak extra memory of one run, in a process of its own."""

import ctypes
import gc
import multiprocessing
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch

from regdrop.studies.cost.timing import Case

M_MMAP_THRESHOLD, MAPPED_FROM_BYTES = -3, 1 << 16  # of glibc's mallopt


def peak_extra_bytes(make: Callable[..., Case], *args: object) -> int | None:
    """Bytes a run needs at its peak beyond what its inputs hold; None where the system does not tell.

    With CUDA they are those of its current device, else those of the process, which Linux alone tells.

    Args:
        make: builds the case in the fresh process; importable, since it is passed by name.
        args: its arguments.
    """
    if sys.platform != "linux" and not torch.cuda.is_available():
        return None
    context = multiprocessing.get_context("forkserver")  # its server imports once what every fresh process needs
    context.set_forkserver_preload([make.__module__])
    with ProcessPoolExecutor(1, context) as pool:
        return pool.submit(_measure, make, args).result()


def _measure(make: Callable[..., Case], args: tuple[object, ...]) -> int:
    if sys.platform == "linux":  # what is freed goes back at once, so that no gaps between what is held are counted
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, MAPPED_FROM_BYTES)
    case = make(*args)
    # Everything that stays (thread pools, compiled code, tables) is there after two runs.
    for _ in range(2):
        case.prepare()
        case.run()
    case.prepare()
    gc.collect()
    return _peak_of_device(case) if torch.cuda.is_available() else _peak_of_process(case)


def _peak_of_device(case: Case) -> int:
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    case.run()
    return torch.cuda.max_memory_allocated() - before


def _peak_of_process(case: Case) -> int:
    ctypes.CDLL(None).malloc_trim(0)
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the highest mark so far
    case.run()
    return max(0, _resident("VmHWM") - before)


def _resident(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024
