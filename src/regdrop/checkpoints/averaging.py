"""The mean of several checkpoints of one model."""

from collections.abc import Sequence
from pathlib import Path

from regdrop.checkpoints.refusals import StateDict, check_keys, check_shape, named
from regdrop.checkpoints.safetensors_file import read_safetensors


def average(paths: Sequence[Path]) -> StateDict:
    """The mean of the weights in n safetensors files, `w = 1/n sum_i w_i`, taken in double precision.

    Args:
        paths: at least one file, all of the same model.

    Returns:
        Every weight, in the precision of the first file.

    Raises:
        CheckpointError: a file is damaged, or its names or shapes are not the first one's.

    Source: Vaswani et al., arXiv 1706.03762, section 6.1, for translation.

    Example:
        >>> import torch
        >>> from tempfile import TemporaryDirectory
        >>> from regdrop.checkpoints.safetensors_file import write_safetensors
        >>> with TemporaryDirectory() as folder:
        ...     paths = [Path(folder) / f"{i}.safetensors" for i in range(2)]
        ...     for i, path in enumerate(paths):
        ...         write_safetensors({"w": torch.full((2,), float(i))}, path)
        ...     average(paths)
        {'w': tensor([0.5000, 0.5000])}
    """
    first = _read(paths[0])
    totals = {key: weight.double() for key, weight in first.items()}
    for path in paths[1:]:
        state = _read(path)
        with named(path):
            check_keys(state, first)
            for key, total in totals.items():
                check_shape(key, state[key].shape, total.shape)
                total.add_(state[key])
    return {key: (total / len(paths)).to(first[key].dtype) for key, total in totals.items()}


def _read(path: Path) -> StateDict:
    with named(path):
        return read_safetensors(path)
