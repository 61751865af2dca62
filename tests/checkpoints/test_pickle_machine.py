"""The machine's stack, marks and file never give what they do not have."""

import io

import pytest

from regdrop.checkpoints.pickle_machine import PickleMachine
from regdrop.errors import CheckpointError


def machine(content=b"", size=None):
    return PickleMachine(io.BytesIO(content), len(content) if size is None else size, {})


def test_bytes_are_taken_in_order_and_writable():
    taking = machine(b"abcdef")
    assert taking.take(2) == b"ab"
    assert taking.take(4) == b"cdef"
    assert isinstance(machine(b"a").take(1), bytearray)


@pytest.mark.parametrize("size", [4, 1 << 40, 1 << 63])
def test_no_memory_is_taken_for_bytes_that_are_not_there(size):
    with pytest.raises(CheckpointError, match=r"where 3 are left"):
        machine(b"abc").take(size)


def test_a_file_that_shrinks_is_noticed():
    with pytest.raises(CheckpointError, match="cut while it was read"):
        machine(b"abc", size=10).take(5)


def test_nothing_is_taken_below_a_mark():
    taking = machine()
    taking.stack += [1, 2]
    taking.marks.append(2)
    with pytest.raises(CheckpointError, match="not there"):
        taking.pop()
    assert taking.pop_mark() == []
    assert taking.pop() == 2
    with pytest.raises(CheckpointError, match="mark that is not there"):
        taking.pop_mark()


def test_a_refusal_names_the_last_text():
    refusing = machine()
    refusing.stack += ["head.bias", 3, b"x"]
    with pytest.raises(CheckpointError, match=r"pickle is odd near key 'head.bias'"):
        refusing.refuse("is odd")
