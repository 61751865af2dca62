"""From a file's names and forms to timm's and back; every key, shape and value is checked on the way in."""

import logging

import torch

from regdrop.checkpoints.geometry import Geometry, measure
from regdrop.checkpoints.naming import TIMM, Naming
from regdrop.checkpoints.refusals import StateDict, check_keys, check_shape, finite_float32

_log = logging.getLogger(__name__)


def to_canonical(weights: StateDict, naming: Naming) -> StateDict:
    """The weights under timm's names and in timm's form, float32.

    Args:
        weights: under the file's names; taken out as they are turned, so that no weight is held twice.
        naming: of the file.

    Raises:
        CheckpointError: a key is missing, extra, of the wrong shape, no floating point, or holds NaN or inf.
    """
    _drop_ignored(weights, naming)
    geometry = checked_geometry(weights, naming)
    state: StateDict = {}
    for row, block in geometry.rows():
        parts = [finite_float32(name, weights.pop(name)) for name in naming.names(row, block)]
        state[Naming(TIMM).names(row, block)[0]] = naming.layout.transforms[row.kind].read(parts).contiguous()
    return state


def from_canonical(state: StateDict, naming: Naming, heads: int) -> StateDict:
    """The weights under another naming's names and in its form; the inverse of `to_canonical`."""
    weights: StateDict = {}
    for row, block in measure(state, Naming(TIMM)).rows():
        parts = naming.layout.transforms[row.kind].write(state[Naming(TIMM).names(row, block)[0]], heads)
        for name, part in zip(naming.names(row, block), parts, strict=True):
            # a copy of its own: parts that share memory would be written twice, or not at all
            weights[name] = part.clone(memory_format=torch.contiguous_format)
    return weights


def checked_geometry(weights: StateDict, naming: Naming) -> Geometry:
    """The sizes of the ViT, once every key is known to be there and of the shape that follows from them.

    Raises:
        CheckpointError: a key is missing, extra or of the wrong shape.
    """
    geometry = measure(weights, naming)
    shapes = geometry.file_shapes(naming)
    check_keys(weights, shapes)
    for key, shape in shapes.items():
        check_shape(key, weights[key].shape, shape)
    return geometry


def _drop_ignored(weights: StateDict, naming: Naming) -> None:
    for name, reason in naming.layout.ignored.items():
        if weights.pop(naming.prefix + name, None) is not None:
            _log.warning("%s is not read: %s", name, reason)
