"""What one way to train costs, beside plain training."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a step in one way.

    Attributes:
        way: its name.
        settings: what to add to a command for it.
        exact: whether its gradient is that of R-Drop on the whole batch.
        seconds: median time of a step; None where it cannot be had.
        extra_bytes: peak memory of a step beyond weights and optimizer state: activations, gradients, buffers; None
            where it cannot be had or the system does not tell.
        refusal: why it cannot be had for this model, else None.
    """

    way: str
    settings: str
    exact: bool
    seconds: float | None = None
    extra_bytes: int | None = None
    refusal: str | None = None

    def time_over(self, plain: "Cost") -> float | None:
        """Time as a multiple of plain training's.

        Example:
            >>> Cost("concat", "", True, 3.0).time_over(Cost("plain", "", True, 2.0))
            1.5
        """
        return self.seconds / plain.seconds if self.seconds and plain.seconds else None

    def memory_over(self, plain: "Cost") -> float | None:
        """Peak memory as a multiple of plain training's."""
        return self.extra_bytes / plain.extra_bytes if self.extra_bytes and plain.extra_bytes else None
