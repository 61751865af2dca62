"""A pickle reader that can build containers, numbers, text and bytes, and call only what its caller lists.

It knows the opcodes that protocols 2 to 4 need for a dict of arrays; each reads no more than the file has left and
pushes one value. No opcode imports, sets attributes or makes instances: a name in the file is looked up in `allowed`,
and what is not there is refused before anything happens.
"""

import pickle
import struct
from collections.abc import Callable
from typing import Any

from regdrop.checkpoints.pickle_machine import Built, Known, PickleMachine
from regdrop.checkpoints.refusals import MAX_TENSORS, shown

MAX_OPCODES = 100 * MAX_TENSORS  # an array takes about 50


def run_pickle(machine: PickleMachine) -> object:
    """The value of the machine's pickle.

    Raises:
        CheckpointError: an opcode, a name or a size that is refused, damage, or bytes after the pickle's end.
    """
    for _ in range(MAX_OPCODES):
        code = bytes(machine.take(1))
        if code == pickle.STOP:
            return machine.last()
        step = _STEPS.get(code) or machine.refuse(f"has opcode {code!r}, which a dict of arrays does not need")
        step(machine)
    return machine.refuse(f"takes more than {MAX_OPCODES:,} steps")


_Step = Callable[[PickleMachine], None]


def _constant(value: object) -> _Step:
    return lambda machine: machine.stack.append(value)


def _number(layout: str) -> _Step:
    packed = struct.Struct(layout)
    return lambda machine: machine.stack.append(machine.number(packed))


def _bytes(layout: str) -> _Step:
    packed = struct.Struct(layout)
    return lambda machine: machine.stack.append(machine.take(machine.number(packed)))


def _text(layout: str, encoding: str = "utf-8") -> _Step:
    packed = struct.Struct(layout)

    def step(machine: PickleMachine) -> None:
        try:
            machine.stack.append(machine.take(machine.number(packed)).decode(encoding))
        except UnicodeDecodeError as error:
            machine.refuse(f"holds text that is not UTF-8 ({error.reason})")

    return step


def _tuple(length: int) -> _Step:
    def step(machine: PickleMachine) -> None:
        values = [machine.pop() for _ in range(length)]
        machine.stack.append(tuple(reversed(values)))

    return step


def _put(layout: str | None) -> _Step:
    """Remember the top of the stack under the number that follows, or under the next one."""
    packed = struct.Struct(layout) if layout else None

    def step(machine: PickleMachine) -> None:
        index = machine.number(packed) if packed else len(machine.memo)
        value = machine.pop()
        machine.stack.append(value)
        machine.memo[index] = value

    return step


def _get(layout: str) -> _Step:
    packed = struct.Struct(layout)

    def step(machine: PickleMachine) -> None:
        index = machine.number(packed)
        if index not in machine.memo:
            machine.refuse(f"recalls value {index}, which it never kept")
        machine.stack.append(machine.memo[index])

    return step


def _append(machine: PickleMachine, values: list[Any]) -> None:
    target = machine.pop()
    if type(target) is not list:
        machine.refuse(f"appends to a {type(target).__name__}")
    target.extend(values)
    machine.stack.append(target)


def _set_items(machine: PickleMachine, values: list[Any]) -> None:
    target = machine.pop()
    if type(target) is not dict or len(values) % 2:
        machine.refuse(f"sets items of a {type(target).__name__}")
    for key, value in zip(values[::2], values[1::2], strict=True):
        if type(key) is not str:
            machine.refuse(f"has a key {shown(key)}; names of weights are strings")
        if key in target:
            machine.refuse(f"has the key {shown(key)} twice")
        target[key] = value
    machine.stack.append(target)


def _set_item(machine: PickleMachine) -> None:
    value, key = machine.pop(), machine.pop()
    _set_items(machine, [key, value])


def _line(machine: PickleMachine) -> str:
    """A line of a GLOBAL opcode, without its end."""
    line = bytearray()
    while (byte := machine.take(1)) != b"\n":
        line += byte
        if len(line) > 100:
            machine.refuse("names something over 100 bytes long")
    return line.decode("ascii", errors="backslashreplace")


def _known(machine: PickleMachine, module: object, name: object) -> None:
    known = machine.allowed.get(f"{module} {name}") if isinstance(module, str) and isinstance(name, str) else None
    if known is None:
        machine.refuse(f"calls {shown(module)} {shown(name)}, which is not allowed; nothing was run")
    machine.stack.append(known)


def _global(machine: PickleMachine) -> None:
    _known(machine, _line(machine), _line(machine))


def _stack_global(machine: PickleMachine) -> None:
    name, module = machine.pop(), machine.pop()
    _known(machine, module, name)


def _reduce(machine: PickleMachine) -> None:
    arguments, known = machine.pop(), machine.pop()
    if not isinstance(known, Known) or known.call is None or type(arguments) is not tuple:
        machine.refuse(f"calls a {type(known).__name__}, which is not allowed; nothing was run")
    try:
        machine.stack.append(known.call(*arguments))
    except (TypeError, ValueError) as error:
        machine.refuse(f"calls {known.name} with what it does not take ({error})")


def _build(machine: PickleMachine) -> None:
    state, target = machine.pop(), machine.pop()
    if not isinstance(target, Built) or target.state is not None or type(state) is not tuple:
        machine.refuse(f"sets the state of a {type(target).__name__}")
    target.state = state
    machine.stack.append(target)


def _frame(machine: PickleMachine) -> None:
    length = machine.number(struct.Struct("<Q"))
    if length > machine.left:
        machine.refuse(f"announces {length:,} bytes where {machine.left:,} are left; it is truncated or damaged")


def _protocol(machine: PickleMachine) -> None:
    version = machine.number(struct.Struct("<B"))
    if version not in (2, 3, 4):
        machine.refuse(f"is of protocol {version}; 2, 3 and 4 are read")


_STEPS: dict[bytes, _Step] = {
    pickle.PROTO: _protocol,
    pickle.FRAME: _frame,
    pickle.MARK: lambda machine: machine.marks.append(len(machine.stack)),
    pickle.NONE: _constant(None),
    pickle.NEWTRUE: _constant(True),
    pickle.NEWFALSE: _constant(False),
    pickle.BININT: _number("<i"),
    pickle.BININT1: _number("<B"),
    pickle.BININT2: _number("<H"),
    pickle.BINFLOAT: _number(">d"),
    pickle.SHORT_BINUNICODE: _text("<B"),
    pickle.BINUNICODE: _text("<I"),
    pickle.BINUNICODE8: _text("<Q"),
    # Python 2 had one kind of string: short ones are names, long ones are the content of arrays.
    pickle.SHORT_BINSTRING: _text("<B", "latin1"),
    pickle.BINSTRING: _bytes("<I"),
    pickle.SHORT_BINBYTES: _bytes("<B"),
    pickle.BINBYTES: _bytes("<I"),
    pickle.BINBYTES8: _bytes("<Q"),
    pickle.EMPTY_TUPLE: _tuple(0),
    pickle.TUPLE1: _tuple(1),
    pickle.TUPLE2: _tuple(2),
    pickle.TUPLE3: _tuple(3),
    pickle.TUPLE: lambda machine: machine.stack.append(tuple(machine.pop_mark())),
    pickle.EMPTY_LIST: lambda machine: machine.stack.append([]),
    pickle.APPEND: lambda machine: _append(machine, [machine.pop()]),
    pickle.APPENDS: lambda machine: _append(machine, machine.pop_mark()),
    pickle.EMPTY_DICT: lambda machine: machine.stack.append({}),
    pickle.SETITEM: _set_item,
    pickle.SETITEMS: lambda machine: _set_items(machine, machine.pop_mark()),
    pickle.MEMOIZE: _put(None),
    pickle.BINPUT: _put("<B"),
    pickle.LONG_BINPUT: _put("<I"),
    pickle.BINGET: _get("<B"),
    pickle.LONG_BINGET: _get("<I"),
    pickle.GLOBAL: _global,
    pickle.STACK_GLOBAL: _stack_global,
    pickle.REDUCE: _reduce,
    pickle.BUILD: _build,
}
