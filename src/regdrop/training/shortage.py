"""Which errors mean that the memory is short."""

from accelerate.utils.memory import should_reduce_batch_size


def is_short(error: Exception) -> bool:
    """Whether an error says that memory did not suffice, in the words of Python, PyTorch or oneDNN.

    Example:
        >>> is_short(RuntimeError("CUDA out of memory.")), is_short(RuntimeError("shapes do not fit"))
        (True, False)
    """
    # The last is what oneDNN says where there is no room for the code it writes.
    return isinstance(error, MemoryError) or should_reduce_batch_size(error) or "create a primitive" in str(error)
