"""Errors that mean a lack of memory, and others."""

import pytest

from regdrop.training.shortage import is_short


@pytest.mark.parametrize(
    "message", ["CUDA out of memory.", "DefaultCPUAllocator: can't allocate memory", "could not create a primitive"]
)
def test_what_pytorch_and_onednn_say(message):
    assert is_short(RuntimeError(message))


def test_python_and_what_is_no_lack_of_memory():
    assert is_short(MemoryError())
    assert not is_short(RuntimeError("shapes do not fit"))
    assert not is_short(ValueError("of 3 primitives"))
