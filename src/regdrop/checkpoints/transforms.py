"""How one and the same weight lies in each kind of file: every transform can be undone exactly.

timm's form is the canonical one: Linear weights [out, in], convolutions [out, in, height, width], query, key and value
fused along the output axis. `read` turns a file's parts into it, `write` turns it back:

    read(write(weight, heads)) == weight        write(read(parts), heads) == parts
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Kind = Literal["plain", "patches", "linear", "qkv_weight", "qkv_bias", "heads_out"]


@dataclass(frozen=True, slots=True)
class Transform:
    """`read` parts of a file into one canonical weight, `write` a weight into parts for so many heads."""

    read: Callable[[Sequence[Tensor]], Tensor]
    write: Callable[[Tensor, int], Sequence[Tensor]]


_KEPT = Transform(lambda parts: parts[0], lambda weight, _: [weight])
_TRANSPOSED = Transform(lambda parts: parts[0].t(), lambda weight, _: [weight.t()])
_THREE = Transform(lambda parts: torch.cat(list(parts)), lambda weight, _: weight.chunk(3))
# [height, width, in, out] of JAX
_CHANNELS_LAST = Transform(lambda parts: parts[0].permute(3, 2, 0, 1), lambda weight, _: [weight.permute(2, 3, 1, 0)])
# three times [in, heads, out of a head]
_HEADS_WEIGHT = Transform(
    lambda parts: torch.cat([part.flatten(1).t() for part in parts]),
    lambda weight, heads: [part.t().reshape(part.shape[1], heads, -1) for part in weight.chunk(3)],
)
# three times [heads, out of a head]
_HEADS_BIAS = Transform(
    lambda parts: torch.cat([part.flatten() for part in parts]),
    lambda weight, heads: [part.reshape(heads, -1) for part in weight.chunk(3)],
)
# [heads, in of a head, out]
_HEADS_OUT = Transform(
    lambda parts: parts[0].flatten(0, 1).t(), lambda weight, heads: [weight.t().reshape(heads, -1, len(weight))]
)

_AS_TIMM: dict[Kind, Transform] = {
    "plain": _KEPT,
    "patches": _KEPT,
    "linear": _KEPT,
    "qkv_weight": _KEPT,
    "qkv_bias": _KEPT,
    "heads_out": _KEPT,
}

TIMM: Mapping[Kind, Transform] = _AS_TIMM
OFFICIAL: Mapping[Kind, Transform] = {**_AS_TIMM, "qkv_weight": _THREE, "qkv_bias": _THREE}
PADDLE: Mapping[Kind, Transform] = {
    **_AS_TIMM,
    "linear": _TRANSPOSED,
    "qkv_weight": _TRANSPOSED,
    "heads_out": _TRANSPOSED,
}
GOOGLE: Mapping[Kind, Transform] = {
    "plain": _KEPT,
    "patches": _CHANNELS_LAST,
    "linear": _TRANSPOSED,
    "qkv_weight": _HEADS_WEIGHT,
    "qkv_bias": _HEADS_BIAS,
    "heads_out": _HEADS_OUT,
}
