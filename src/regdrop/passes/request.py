"""What a mode is asked to run, and the protocol by which it runs it.

A mode is a generator: it yields the arguments of a forward, is sent what the model returned, and may yield further
calls; what it returns at last is the model's output with every batch tensor stacked to `(K, B, ...)`, pass by pass.
The first call it yields is the caller's own forward. What has to run before that one goes through `Request.forward`,
and what has to hold during a forward (hooks, a saved random state) stands around its `yield`.
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


def drive(steps: Passes, output: Any, forward: Callable[[Call], Any]) -> Any:
    """Hand the first output to a mode, run the further forwards it asks for, and return its result."""
    while True:
        try:
            call = steps.send(output)
        except StopIteration as end:
            return end.value
        output = forward(call)
