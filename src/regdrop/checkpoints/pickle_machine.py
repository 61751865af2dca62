"""The state of a restricted pickle machine: stack, marks, memo, and a file not asked for more than it has."""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BufferedIOBase
from typing import Any, NoReturn

from regdrop.checkpoints.refusals import shown
from regdrop.errors import CheckpointError


@dataclass(frozen=True, slots=True)
class Known:
    """A name a pickle may mention; `call` is what it does when called, None where it may be mentioned alone."""

    name: str
    call: Callable[..., Any] | None = None


class Built:
    """Base of the values that a pickle may give a state once."""

    state: tuple[Any, ...] | None = None


class PickleMachine:
    """One pickle while it is read; `pickle_opcodes.run_pickle` runs it.

    Args:
        file: opened for reading at the pickle's first byte.
        size: of the file in bytes; nothing beyond it is asked for.
        allowed: "module name" as it stands in the file, and what it means.
    """

    def __init__(self, file: BufferedIOBase, size: int, allowed: Mapping[str, Known]) -> None:
        self.file, self.left, self.allowed = file, size, allowed
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def last(self) -> object:
        """The one value on the stack, once the pickle and the file have ended together."""
        value = self.pop()
        if self.stack or self.marks or self.left:
            self.refuse(f"ends with {len(self.stack)} values and {self.left:,} bytes left over")
        return value

    def take(self, size: int) -> bytearray:
        """The next `size` bytes of the file, in memory of their own."""
        if size > self.left:
            self.refuse(f"asks for {size:,} bytes where {self.left:,} are left; it is truncated or damaged")
        data = bytearray(size)
        if self.file.readinto(data) != size:
            self.refuse("was cut while it was read")
        self.left -= size
        return data

    def number(self, layout: struct.Struct) -> Any:
        """The next number of the file."""
        return layout.unpack(self.take(layout.size))[0]

    def pop(self) -> Any:
        """Take the value on top of the stack, above the last mark."""
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            self.refuse("takes a value that is not there")
        return self.stack.pop()

    def pop_mark(self) -> list[Any]:
        """Take all values above the last mark, and the mark."""
        if not self.marks:
            self.refuse("takes a mark that is not there")
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def refuse(self, reason: str) -> NoReturn:
        """Stop, naming the last text on the stack, which is the key whose value is being read."""
        key = next((value for value in reversed(self.stack) if isinstance(value, str)), None)
        place = "" if key is None else f" near key {shown(key)}"
        raise CheckpointError(f"pickle {reason}{place}")
