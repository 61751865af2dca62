"""Containers come out as they went in; no pickle makes the reader call, import or allocate what is not allowed."""

import io
import os
import pickle
import pickletools
import struct
from collections import OrderedDict
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regdrop.checkpoints import pickle_opcodes
from regdrop.checkpoints.pickle_machine import Built, Known, PickleMachine
from regdrop.checkpoints.pickle_opcodes import run_pickle
from regdrop.errors import CheckpointError

ALLOWED = {
    "collections OrderedDict": Known("OrderedDict", lambda: {}),
    "numpy ndarray": Known("ndarray"),
    "here Built": Known("Built", Built),
    "here int": Known("int", int),
}


def run(content):
    return run_pickle(PickleMachine(io.BytesIO(content), len(content), ALLOWED))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**31 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=5).map(tuple)
        | st.dictionaries(st.text(max_size=300), inner, max_size=5)
        | st.dictionaries(st.text(), inner, max_size=3).map(OrderedDict)
    ),
    max_leaves=30,
)


@settings(max_examples=60, deadline=None)
@given(value=VALUES, protocol=st.sampled_from([2, 3, 4]), shorter=st.booleans())
def test_containers_numbers_and_text_come_out_as_they_went_in(value, protocol, shorter):
    content = pickle.dumps(value, protocol)
    assert run(pickletools.optimize(content) if shorter else content) == value


def test_shared_and_long_values_come_out():
    shared = ["x" * 300]
    values = [shared, shared, list(range(3000)), [str(i) for i in range(300)]]
    for protocol in (2, 3, 4):
        back = run(pickle.dumps(values, protocol))
        assert back == values
        assert back[0] is back[1]
    assert run(pickle.dumps([b"", b"abc", b"x" * 300], 4)) == [b"", b"abc", b"x" * 300]


class Calls:
    """Pickles as a call of anything."""

    def __init__(self, call, *arguments):
        self.reduced = (call, arguments)

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("call", [os.mkdir, os.system, eval, exec, __import__, getattr, bytearray, open])
def test_calls_are_refused_and_not_made(tmp_path, protocol, call):
    trace = tmp_path / "trace"
    content = pickle.dumps({"head.bias": Calls(call, str(trace))}, protocol)
    with pytest.raises(CheckpointError, match="'head.bias'" if protocol in (2, 3, 4) else "pickle"):
        run(content)
    assert not trace.exists()


REFUSED = {
    "mentioned name called": (b"cnumpy\nndarray\n)R.", "calls a Known, which is not allowed"),
    "value called": (b"K\x03)R.", "calls a int, which is not allowed"),
    "arguments of another type": (b"chere\nint\n]R.", "calls a Known"),
    "arguments it does not take": (b"chere\nint\nX\x01\x00\x00\x00a\x85R.", "calls int with what it does not take"),
    "state of a list": (b"])b.", "sets the state of a list"),
    "state twice": (b"chere\nBuilt\n)R)b)b.", "sets the state of a Built"),
    "state of a name": (b"cnumpy\nndarray\n)b.", "sets the state of a Known"),
    "state that is a dict": (b"chere\nBuilt\n)R}b.", "sets the state of a Built"),
    "long name": (b"c" + b"a" * 101 + b"\nb\n.", "over 100 bytes"),
    "name over two lines": (b"cos\nsystem", "truncated"),
    "name of other types": (b"K\x01K\x02\x93.", "calls of type int"),
    "key of a number": (b"}K\x01K\x02s.", "names of weights are strings"),
    "key of a tuple": (b"})K\x02s.", "names of weights are strings"),
    "key twice": (b"}(X\x01\x00\x00\x00aNX\x01\x00\x00\x00aNu.", "key 'a' twice"),
    "odd items": (b"}(X\x01\x00\x00\x00au.", "sets items of a dict"),
    "items of a list": (b"](NNu.", "sets items of a list"),
    "append to a dict": (b"}Na.", "appends to a dict"),
    "append to a tuple": (b")(Ne.", "appends to a tuple"),
    "text that is none": (b"X\x01\x00\x00\x00\xff.", "not UTF-8"),
    "memo": (b"h\x07.", "value 7, which it never kept"),
    "empty": (b"", "truncated"),
    "no value": (b".", "not there"),
    "two values": (b"NN.", "1 values and 0 bytes left over"),
    "open mark": (b"(N.", "left over"),
    "bytes behind": (b"N.N", "1 bytes left over"),
    "protocol 5": (b"\x80\x05N.", "protocol 5"),
    "long frame": (b"\x80\x04\x95" + struct.pack("<Q", 1 << 40) + b"N.", "announces 1,099,511,627,776"),
    "vast bytes": (b"\x8e" + struct.pack("<Q", 1 << 60) + b".", "truncated"),
    "vast text": (b"\x8d" + struct.pack("<Q", 1 << 60) + b".", "truncated"),
    "endless": (b"N0" * 10, "opcode b'0'"),
    **{
        name: (opcode + b"os\nsystem\n.", "opcode")
        for name, opcode in {
            "INST": b"i",
            "OBJ": b"o",
            "NEWOBJ": b"\x81",
            "NEWOBJ_EX": b"\x92",
            "EXT1": b"\x82",
            "EXT4": b"\x84",
            "PERSID": b"P",
            "BINPERSID": b"Q",
            "DUP": b"2",
            "LONG4": b"\x8b",
            "STRING": b"S",
            "INT": b"I",
            "NEXT_BUFFER": b"\x97",
        }.items()
    },
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_dict_of_arrays_does_not_need_is_refused(case):
    content, message = REFUSED[case]
    with pytest.raises(CheckpointError, match=message):
        run(content)


def test_the_number_of_steps_is_bounded(monkeypatch):
    monkeypatch.setattr(pickle_opcodes, "MAX_OPCODES", 1000)
    with pytest.raises(CheckpointError, match="more than 1,000 steps"):
        run(b"N" * 2000)


def test_deep_values_cost_no_stack():
    value = run(b")" + b"\x85" * 100_000 + b".")
    assert isinstance(value, tuple)


SEED = pickle.dumps({"a": [1, (2.5, "b")], "c": OrderedDict(d=b"e"), "f": None}, 4)


@settings(max_examples=500, deadline=None)
@given(place=st.integers(0, len(SEED) - 1), new=st.binary(min_size=1, max_size=10))
def test_random_damage_ends_in_checkpoint_error_alone(place, new):
    with suppress(CheckpointError):
        run(SEED[:place] + new + SEED[place + len(new) :])


OPCODES = st.sampled_from([opcode.code.encode("latin1") for opcode in pickletools.opcodes])


@settings(max_examples=500, deadline=None)
@given(parts=st.lists(OPCODES | st.binary(max_size=5), max_size=40))
def test_random_opcodes_end_in_checkpoint_error_alone(parts):
    with suppress(CheckpointError):
        run(b"".join(parts) + b".")
