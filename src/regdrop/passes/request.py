"""What a mode is asked to run, and the protocol by which it runs it.

A mode is a generator that yields once: the arguments of the forward that its caller makes, and is sent what the model
returned. Further forwards, before that one or after it, go through `Request.forward`, and what has to hold during the
caller's (hooks, a saved random state) stands around the `yield`. What it returns at last is the model's output with
every batch tensor stacked to `(K, B, ...)`, pass by pass.
"""

from collections.abc import Callable, Generator
from typing import Any, NamedTuple

from torch import nn

from regdrop.passes.batch import Call
from regdrop.passes.options import PassOptions


class Request(NamedTuple):
    """What a mode is asked to run.

    Attributes:
        model: the model, for a mode that looks into it.
        call: the arguments of its forward, for one pass.
        options: how many passes, and what they share.
        forward: calls the model aside from the caller's own forward, without R-Drop acting in it.
    """

    model: nn.Module
    call: Call
    options: PassOptions
    forward: Callable[[Call], Any]


Passes = Generator[Call, Any, Any]
Mode = Callable[[Request], Passes]


def finish(steps: Passes, output: Any) -> Any:
    """Hand a mode the output of its caller's forward, and return its result."""
    try:
        steps.send(output)
    except StopIteration as end:
        return end.value
    raise RuntimeError("a mode yields once; further forwards go through Request.forward")
