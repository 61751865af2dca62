"""Weights into a model: all of them, or none."""

import torch
from torch import nn

from regdrop.checkpoints.canonical import to_canonical
from regdrop.checkpoints.naming import HEAD, HEAD_BIAS, POSITIONS, TIMM, find_naming
from regdrop.checkpoints.refusals import StateDict, check_keys, check_shape
from regdrop.checkpoints.surgery import resize_positions, with_qkv_bias
from regdrop.errors import CheckpointError


def load_into(model: nn.Module, state: StateDict, *, new_head: bool = False) -> None:
    """Copy a checkpoint's weights into a ViT; everything is checked before the first of them is copied.

    Position embeddings are resized to the model's image size. A model whose query, key and value have a bias takes a
    checkpoint without one as one of zeros, which computes the same.

    Args:
        model: timm's `VisionTransformer`, or a module that holds one anywhere inside.
        state: from `load_vit`, or any under timm's names.
        new_head: leave the model's own head as it is, for a task with other classes than the checkpoint's.

    Raises:
        CheckpointError: no ViT or several in the model; a block is missing or extra; a shape differs; another number of
            classes without `new_head`; NaN or inf.

    Example:
        >>> from timm.models.vision_transformer import VisionTransformer
        >>> sizes = dict(patch_size=16, embed_dim=8, depth=1, num_heads=2)
        >>> pretrained = VisionTransformer(img_size=32, num_classes=21, **sizes)
        >>> model = VisionTransformer(img_size=64, num_classes=10, **sizes)
        >>> load_into(model, pretrained.state_dict(), new_head=True)
        >>> bool((model.cls_token == pretrained.cls_token).all())
        True
    """
    own = model.state_dict()
    naming = find_naming(own, [TIMM])
    targets = {key.removeprefix(naming.prefix): weight for key, weight in own.items() if key.startswith(naming.prefix)}
    state = _fitted(to_canonical(dict(state), find_naming(state, [TIMM])), targets, new_head=new_head)
    check_keys(state, targets)
    for key, target in targets.items():
        check_shape(key, state[key].shape, target.shape)
    with torch.no_grad():
        for key, target in targets.items():
            target.copy_(state[key])


def _fitted(state: StateDict, targets: StateDict, *, new_head: bool) -> StateDict:
    """The state with the model's image size, its bias of query, key and value, and, where asked for, its head."""
    head = {key: targets[key] for key in (HEAD.timm, HEAD_BIAS.timm) if key in targets}
    if new_head:
        state = {key: weight for key, weight in state.items() if key not in (HEAD.timm, HEAD_BIAS.timm)} | head
    _check_classes(state, head)
    if POSITIONS.timm in targets:
        state[POSITIONS.timm] = resize_positions(state[POSITIONS.timm], targets[POSITIONS.timm].shape[1])
    return with_qkv_bias(state) if any(key.endswith("qkv.bias") for key in targets) else state


def _check_classes(state: StateDict, head: StateDict) -> None:
    found, wanted = (len(weights[HEAD.timm]) if HEAD.timm in weights else 0 for weights in (state, head))
    if found != wanted:
        raise CheckpointError(
            f"key {HEAD.timm!r} has {found} classes, but the model has {wanted}; ask for a new head "
            "(new_head=True, or --new-head CLASSES)"
        )
