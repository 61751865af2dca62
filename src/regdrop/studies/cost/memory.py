"""Peak extra memory of one run, in a process of its own."""

import ctypes
import multiprocessing
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import torch

from regdrop.studies.cost.timing import Case
from regdrop.training.peak import PeakMemory

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


def _measure(make: Callable[..., Case], args: tuple[object, ...]) -> int | None:
    if sys.platform == "linux":  # what is freed goes back at once, so that no gaps between what is held are counted
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, MAPPED_FROM_BYTES)
    case = make(*args)
    # Everything that stays (thread pools, compiled code, tables) is there after two runs.
    for _ in range(2):
        case.prepare()
        case.run()
    case.prepare()
    peak = PeakMemory()
    case.run()
    return peak.extra_bytes
