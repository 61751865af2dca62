"""The kernel in plain PyTorch: any device, any dtype, a chunk of rows at a time so that all stays in cache."""

import torch
from torch import Tensor

from regdrop.losses.kernels import Rows, accumulation_dtype

CHUNK_ELEMENTS = {"cpu": 1 << 18, "cuda": 1 << 26}


def eager(rows: Rows, grad: Tensor | None) -> tuple[Tensor, Tensor]:
    """Fulfil the contract of `regdrop.losses.kernels` chunk by chunk; `grad` may be the logits' own buffer."""
    passes, items, classes = rows.logits.shape
    values = rows.weight.new_zeros(2, items)
    step = max(1, CHUNK_ELEMENTS.get(rows.logits.device.type, 1 << 22) // max(1, passes * classes))
    for start in range(0, items, step):
        part = slice(start, min(start + step, items))
        _chunk(rows, part, values[:, part], None if grad is None else grad[:, part])
    return values[0], values[1]


def _chunk(rows: Rows, part: slice, values: Tensor, grad: Tensor | None) -> None:
    """Value and gradient of some rows, from s_a = c_a - mean c with c_a = z_a - max z_a.

    (K - 1) kl = sum_a sum_j (p_a - mean p)_j (s_a - E_{p_a} s_a)_j, which keeps its digits when the passes nearly
    agree or share an offset; (K - 1) d kl / d z_a = p_a - mean p + p_a (s_a - E_{p_a} s_a).
    """
    passes = rows.logits.shape[0]
    logits = rows.logits[:, part]
    centred = logits.to(accumulation_dtype(logits.dtype), copy=True)
    centred -= centred.amax(-1, keepdim=True)
    prob = centred.exp()
    total = prob.sum(-1, keepdim=True)
    prob /= total
    values[0], mass, target = _task(rows, part, centred, total.log())
    # A class masked in every pass must cancel exactly: -inf - -inf is NaN, lowest - lowest is 0.
    centred.clamp_(min=torch.finfo(centred.dtype).min / 1e3)
    spread = centred.sub_(centred.mean(0))
    spread -= (prob * spread).sum(-1, keepdim=True)
    mean = prob.mean(0)
    values[1] = _unbounded(((prob - mean) * spread).sum((0, -1)) / (passes - 1))
    unused = rows.weight[part] == 0
    values.masked_fill_(unused, 0.0)
    if grad is None:
        return
    strength = rows.alpha / (passes - 1)
    spread.mul_(strength).add_(strength + mass).mul_(prob)
    spread -= mean * strength
    _subtract_target(rows, part, spread, mass, target)
    spread *= rows.weight[part].unsqueeze(-1)
    grad.copy_(spread.masked_fill_(unused.unsqueeze(-1), 0.0))


def _unbounded(value: Tensor) -> Tensor:
    """A class masked in one pass and not in another makes the true divergence infinite: say so."""
    return value.masked_fill(value > torch.finfo(value.dtype).max ** 0.5, torch.inf)


def _task(rows: Rows, part: slice, centred: Tensor, log_total: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
    """The task's value, the sum of its target's mass `(items, 1)`, and that target where it is dense."""
    if rows.target is None:
        return centred.new_zeros(centred.shape[1]), centred.new_zeros(centred.shape[1], 1), None
    smooth = rows.label_smoothing
    if rows.target.ndim == 1 and not smooth:
        index = _index(rows.target, rows, part)
        mass = torch.ones_like(centred[0, :, :1]) if rows.class_weight is None else rows.class_weight[index]
        picked = centred.gather(-1, index.expand(centred.shape[0], -1, -1))
        return (mass * (log_total - picked)).sum((0, -1)), mass, None
    target = _dense_target(rows.target, rows, part, centred)
    mass = target.sum(-1, keepdim=True)
    product = torch.where(target == 0, 0.0, target * centred).sum(-1, keepdim=True)
    return (mass * log_total - product).sum((0, -1)), mass, target


def _index(target: Tensor, rows: Rows, part: slice) -> Tensor:
    """Class indices `(items, 1)`; those of items that do not count are moved inside the range."""
    return target[part].masked_fill(rows.weight[part] == 0, 0).unsqueeze(-1)


def _dense_target(labels: Tensor, rows: Rows, part: slice, centred: Tensor) -> Tensor:
    """The smoothed and weighted target `(items, classes)`; smoothing gives nothing to classes masked everywhere."""
    smooth, classes = rows.label_smoothing, centred.shape[-1]
    target = centred.new_zeros(centred.shape[1:])
    if smooth:
        target.masked_fill_((centred > -torch.inf).any(0), smooth / classes)
    if labels.ndim == 1:
        index = _index(labels, rows, part)
        target.scatter_add_(-1, index, torch.full_like(target[:, :1], 1 - smooth))
    else:
        target += labels[part].to(target.dtype) * (1 - smooth)
    return target if rows.class_weight is None else target * rows.class_weight


def _subtract_target(rows: Rows, part: slice, grad: Tensor, mass: Tensor, target: Tensor | None) -> None:
    if target is not None:
        grad -= target
    elif rows.target is not None:
        passes = grad.shape[0]
        grad.scatter_add_(-1, _index(rows.target, rows, part).expand(passes, -1, -1), -mass.expand(passes, -1, -1))
