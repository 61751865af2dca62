"""Interleaved timing: every case once a round, so that a slow moment of the machine hits all of them alike."""

import ctypes
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's mallopt


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to time.

    Attributes:
        name: how tables call it.
        run: what is timed.
        prepare: what each run needs before it, untimed.
    """

    name: str
    run: Callable[[], object]
    prepare: Callable[[], object] = lambda: None

    def seconds(self, times: int) -> float:
        """Mean time of one run."""
        total = 0.0
        for _ in range(times):
            self.prepare()
            start = perf_counter()
            self.run()
            total += perf_counter() - start
        return total / times


def keep_memory_warm() -> None:
    """Let the C allocator keep freed memory, so that no case is charged for page faults of fresh pages (Linux)."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def interleaved(
    cases: Sequence[Case], rounds: int, sample_seconds: float = 0.02, between: Callable[[], object] = lambda: None
) -> dict[str, list[float]]:
    """Time every case once a round; returns the samples in seconds by name.

    Args:
        cases: what to compare; each runs twice before anything is measured.
        rounds: samples of each.
        sample_seconds: a sample repeats a short case until it lasts about this long, after a run that is not timed, so
            that what the case before left in cache and memory does not count.
        between: called between rounds, for instance to watch the machine.
    """
    for case in cases:
        case.seconds(2)
    times = {case.name: max(1, round(sample_seconds / case.seconds(1))) for case in cases}
    samples: dict[str, list[float]] = {case.name: [] for case in cases}
    for _ in range(rounds):
        between()
        for case in cases:
            if times[case.name] > 1:
                case.seconds(1)
            samples[case.name].append(case.seconds(times[case.name]))
    return samples
