"""What a user decides about a study."""

from dataclasses import dataclass

from regdrop.errors import InputError


@dataclass(frozen=True, slots=True)
class Options:
    """What a user decides about a study, whichever it is.

    Attributes:
        seeds: how many; 0 to seeds - 1 each decide weights, order of the data and dropout of one run an arm.
        grid: values of the study's factor; empty takes the study's own.
        equal_compute: train baselines with as much compute as the other arms, too.
        workers: processes on this machine that share the runs.
        progress: show bars on standard error.

    Raises:
        InputError: fewer than one seed or worker.
    """

    seeds: int = 5
    grid: tuple[float, ...] = ()
    equal_compute: bool = False
    workers: int = 1
    progress: bool = True

    def __post_init__(self) -> None:
        for name in ("seeds", "workers"):
            if getattr(self, name) < 1:
                raise InputError(f"--{name} {getattr(self, name)}: a study needs at least 1; pass --{name} 1 or more")

    def words(self) -> str:
        """The options that decide the numbers, as the command line takes them."""
        grid = f" --grid {','.join(f'{value:g}' for value in self.grid)}" if self.grid else ""
        return f"--seeds {self.seeds}{grid}{' --equal-compute' if self.equal_compute else ''}"
