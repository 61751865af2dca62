"""Every error regdrop raises on purpose; the command line prints them as one line and exits with `exit_code`.

RDropError                 anything below
├── InputError             tensors, targets, masks or arguments that do not fit together (a ValueError)
├── NoNoiseError           the model would give the same output twice (a RuntimeError)
├── UnsupportedError       a combination that is refused rather than computed wrongly (a RuntimeError)
├── RecipeError            an unknown recipe, key or value (a ValueError)
├── DataError              data that is missing or damaged
├── CheckpointError        a checkpoint that is missing, damaged, of the wrong shape or hostile
├── NonFiniteError         a loss, a gradient, a weight or a model's output is NaN or inf
├── BusyError              another process is at work in the folder
├── MemoryShortError       the memory does not hold a training step (a RuntimeError)
├── StoppedError           a signal ended a run, which was saved; exits with 128 + the signal's number
└── MissingExtraError      an optional dependency is not installed (an ImportError)
"""

from collections.abc import Iterable
from difflib import get_close_matches


class RDropError(Exception):
    """Base of every error raised on purpose; its text says what was given and how to mend it."""

    exit_code = 1


class InputError(RDropError, ValueError):
    """Tensors, targets, masks or arguments do not fit together."""

    exit_code = 2


class NoNoiseError(RDropError, RuntimeError):
    """No dropout acts, so all passes would agree: twice the cost for nothing."""


class UnsupportedError(RDropError, RuntimeError):
    """The combination asked for is refused, since its result would be wrong."""


class RecipeError(RDropError, ValueError):
    """A recipe, one of its keys or one of its values is unknown."""

    exit_code = 2


class DataError(RDropError):
    """Data is missing or damaged."""

    exit_code = 3


class CheckpointError(RDropError):
    """A checkpoint is missing, damaged, of the wrong shape or hostile."""

    exit_code = 4


class NonFiniteError(RDropError):
    """A loss, a gradient, a weight or a model's output is NaN or inf."""

    exit_code = 5


class BusyError(RDropError):
    """Another process is at work in the folder."""

    exit_code = 6


class MemoryShortError(RDropError, RuntimeError):
    """The memory does not hold a training step."""

    exit_code = 7


class StoppedError(RDropError):
    """A signal ended a run, which was saved; exits with 128 + the signal's number, as shells count."""

    def __init__(self, text: str, number: int = 2) -> None:
        super().__init__(text)
        self.exit_code = 128 + number


class MissingExtraError(RDropError, ImportError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed; run: pip install 'regdrop[{extra}]'")


MANY_NAMES = 20  # more are not listed where one is near


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which known name the user most likely meant, as a clause to end an error with.

    Example:
        >>> nearest("digits_vlt", ["digits_vit", "cifar10_vit"])
        "did you mean 'digits_vit'? Known: cifar10_vit, digits_vit"
    """
    choices = sorted(known)
    close = get_close_matches(name, choices, n=1)
    if close and len(choices) > MANY_NAMES:
        return f"did you mean '{close[0]}'?"
    hint = f"did you mean '{close[0]}'? Known: " if close else "known: "
    return hint + ", ".join(choices)
