"""What the numbers were measured on, and whether anything else ran meanwhile."""

import os
import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, perf_counter

import torch


def describe() -> dict[str, str | int]:
    """Date, processor, cores, threads and versions."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": _processor(),
        "cores": os.cpu_count() or 0,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _processor() -> str:
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text().splitlines() if listing.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


@dataclass
class Watch:
    """Notices a loaded machine: probe it between what is timed and after it, then ask for the `notice`.

    Attributes:
        probes: seconds a fixed piece of work took, each time `probe` was called.
        watched: seconds between probes, without those before a `rest`.
        taken: processor seconds that other processes took in that time (NaN where the system does not tell).
    """

    probes: list[float] = field(default_factory=list)
    watched: float = 0.0
    taken: float = 0.0
    _last: tuple[float, float] | None = None

    def probe(self) -> None:
        """Time the fixed work, best of three, on all threads."""
        if self._last is not None:
            self.watched += monotonic() - self._last[0]
            self.taken += _others_seconds() - self._last[1]
        square = torch.ones(512, 512)
        self.probes.append(min(_seconds_of_product(square) for _ in range(3)))
        self._last = monotonic(), _others_seconds()

    def rest(self) -> None:
        """Nothing is timed until the next probe: what runs meanwhile, processes of our own perhaps, does not count."""
        self._last = None

    @property
    def others(self) -> float:
        """Mean number of cores that other processes kept busy while watched."""
        return max(0.0, self.taken / max(self.watched, 1e-9))

    def notice(self) -> str | None:
        """One sentence where the machine was loaded, else None."""
        slowest, fastest = max(self.probes), min(self.probes)
        if self.others <= 0.1 and slowest <= 1.3 * fastest:
            return None
        return (
            f"LOADED MACHINE: other processes kept {self.others:.2f} of {os.cpu_count()} cores busy and a fixed piece "
            f"of work took {fastest * 1e3:.1f} to {slowest * 1e3:.1f} ms; repeat on a quiet machine before quoting."
        )


def _seconds_of_product(square: torch.Tensor) -> float:
    start = perf_counter()
    for _ in range(4):
        square @ square
    return perf_counter() - start


def _busy_seconds() -> float:
    """Processor time of the whole machine that was not idle, steal included."""
    statistics = Path("/proc/stat")
    if not statistics.exists():
        return float("nan")
    ticks = [int(part) for part in statistics.read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


def _others_seconds() -> float:
    """Busy time of all but this process and the children it waited for."""
    times = os.times()
    return _busy_seconds() - (times.user + times.system + times.children_user + times.children_system)
