"""Arrays out of pickles of Python 2 and 3, of the numbers asked for; no use of what is allowed does any harm."""

import io
import struct
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regdrop.checkpoints.pickle_arrays import made_array, read_pickle
from regdrop.errors import CheckpointError


def read(content):
    return read_pickle(io.BytesIO(content), len(content))


def python_2(data):
    """A byte array as Python 2 pickles it: every string, also the array's content, is a BINSTRING."""
    blank = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
    dtype = b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    return blank + b"(K\x01(K\x02K\x03t" + dtype + b"\x89T" + struct.pack("<I", len(data)) + data + b"tb"


def test_python_2_arrays_are_read():
    content = read(b"\x80\x02}U\x04data" + python_2(b"abcdef") + b"s.")
    assert made_array("data", content["data"], ("u1",)).tolist() == [[97, 98, 99], [100, 101, 102]]


def test_only_the_numbers_asked_for_are_made():
    array = read(b"\x80\x02" + python_2(b"abcdef") + b".")
    with pytest.raises(CheckpointError, match="'data' has dtype 'u1'; only f4, f8 are read"):
        made_array("data", array, ("f4", "f8"))


@pytest.mark.parametrize("text", [b"B\x01\x00\x00\x00a", b"K\x03", b"N", b"]", b"}"])
@pytest.mark.parametrize("encoding", [b"X\x06\x00\x00\x00latin1", b"K\x03", b"N"])
def test_encoding_takes_text_alone(text, encoding):
    with pytest.raises(CheckpointError, match="encode with what it does not take"):
        read(b"\x80\x02c_codecs\nencode\n" + text + encoding + b"\x86R.")


GLOBALS = [
    b"cnumpy\nndarray\n",
    b"cnumpy\ndtype\n",
    b"cnumpy.core.multiarray\n_reconstruct\n",
    b"c_codecs\nencode\n",
    b"ccollections\nOrderedDict\n",
]
VALUES = [
    b"K\x00",
    b"K\x03",
    b"N",
    b"\x88",
    b"]",
    b"}",
    b")",
    b"U\x01b",
    b"C\x01b",
    b"X\x06\x00\x00\x00latin1",
    b"U\x02f4",
]
STEPS = [b"(", b"t", b"\x85", b"\x86", b"\x87", b"R", b"R", b"b", b"s", b"u", b"a", b"e", b"\x94", b"h\x00"]


@settings(max_examples=800, deadline=None)
@given(parts=st.lists(st.sampled_from([*GLOBALS, *VALUES, *STEPS]), max_size=25))
def test_no_use_of_what_is_allowed_escapes(parts):
    with suppress(CheckpointError):
        value = read(b"".join(parts) + b".")
        made_array("value", value, ("f4",))


@settings(max_examples=400, deadline=None)
@given(call=st.sampled_from(GLOBALS), arguments=st.lists(st.sampled_from(GLOBALS + VALUES), max_size=4))
def test_no_call_with_any_arguments_escapes(call, arguments):
    with suppress(CheckpointError):
        read(call + b"(" + b"".join(arguments) + b"tR.")


def test_an_array_of_nothing_but_zeros_is_not_made_larger_than_its_bytes():
    content = read(b"\x80\x02" + python_2(b"abcde") + b".")
    with pytest.raises(CheckpointError, match=r"declares shape \(2, 3\) of uint8, but holds 5 bytes"):
        made_array("data", content, ("u1",))
    assert isinstance(made_array("data", read(b"\x80\x02" + python_2(bytes(6)) + b"."), ("u1",)), np.ndarray)
