"""A ViT's checkpoint in and out: the file's suffix says its format."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from regdrop.checkpoints.atomic import atomic_path
from regdrop.checkpoints.canonical import from_canonical, to_canonical
from regdrop.checkpoints.naming import GOOGLE, OFFICIAL, PADDLE, PATCHES, TIMM, Layout, Naming, find_naming
from regdrop.checkpoints.npz import read_npz, write_npz
from regdrop.checkpoints.pdparams import read_pdparams, write_pdparams
from regdrop.checkpoints.refusals import StateDict, check_size, named
from regdrop.checkpoints.safetensors_file import read_safetensors, write_safetensors
from regdrop.checkpoints.surgery import with_image_size, with_new_head, with_qkv_bias
from regdrop.checkpoints.torch_file import read_torch, write_torch
from regdrop.errors import CheckpointError, InputError, nearest


@dataclass(frozen=True, slots=True)
class Format:
    """How files of one suffix are read and written; `reads` are the namings found in them, the first one is written."""

    read: Callable[[Path], StateDict]
    write: Callable[[StateDict, Path], None]
    reads: tuple[Layout, ...]


FORMATS = {
    ".npz": Format(read_npz, write_npz, (GOOGLE,)),
    ".bin": Format(read_torch, write_torch, (OFFICIAL, TIMM)),
    ".pth": Format(read_torch, write_torch, (TIMM, OFFICIAL)),
    ".pt": Format(read_torch, write_torch, (TIMM, OFFICIAL)),
    ".safetensors": Format(read_safetensors, write_safetensors, (TIMM, OFFICIAL)),
    ".pdparams": Format(read_pdparams, write_pdparams, (PADDLE,)),
}
# The published ViTs: Ti, S, B, L and H.
_HEADS = {192: 3, 384: 6, 768: 12, 1024: 16, 1280: 16}


def load_vit(path: str | Path) -> StateDict:
    """Read a ViT from any of the formats; nothing in the file is run.

    Args:
        path: `.npz` (Google), `.bin`, `.pth`, `.pt` (PyTorch; official or timm's names), `.safetensors` (the same) or
            `.pdparams` (Paddle). A prefix before all names, such as `module.` or `vit.`, is taken off.

    Returns:
        The weights under the names and in the form of timm's `VisionTransformer`, float32.

    Raises:
        CheckpointError: the file is missing, damaged or hostile; a block is missing or extra; a shape is wrong; a
            weight holds NaN or inf. The message names the file and the key.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from timm.models.vision_transformer import VisionTransformer
        >>> vit = VisionTransformer(img_size=32, patch_size=16, embed_dim=8, depth=1, num_heads=2)
        >>> with TemporaryDirectory() as folder:
        ...     save_vit(vit.state_dict(), f"{folder}/vit.pdparams")
        ...     state = load_vit(f"{folder}/vit.pdparams")
        >>> bool((state["head.weight"] == vit.head.weight).all())
        True
    """
    path = Path(path)
    form = _format(path)
    with named(path):
        if not path.is_file():
            raise CheckpointError("is no file" if path.exists() else "does not exist")
        check_size(path.stat().st_size)
        weights = form.read(path)
        return to_canonical(weights, find_naming(weights, form.reads))


def save_vit(state: StateDict, path: str | Path, *, heads: int | None = None) -> None:
    """Write a ViT in the format of the path's suffix: beside the path first, then renamed over it.

    Args:
        state: under timm's names, any prefix before them.
        path: `.npz` (Google's names), `.bin` (official names), `.pth`, `.pt`, `.safetensors` (timm's names) or
            `.pdparams`.
        heads: of the attention; only .npz files need it, and only for a width other than those of ViT-Ti, S, B, L, H.

    Raises:
        CheckpointError: the state is no ViT, or holds NaN or inf, or the file cannot be written.
        InputError: an .npz file needs `heads`, or they do not divide the width.
    """
    path = Path(path)
    form = _format(path)
    layout = form.reads[0]
    with named(path):
        state = to_canonical(dict(state), find_naming(state, [TIMM]))
        if layout.needs_qkv_bias:
            state = with_qkv_bias(state)
        heads = _heads(len(state[PATCHES.timm]), heads) if layout.heads_apart else 1
        weights = from_canonical(state, Naming(layout), heads)
        with atomic_path(path) as beside:
            form.write(weights, beside)


def convert(
    src: str | Path,
    dst: str | Path,
    *,
    image_size: int | None = None,
    new_head: int | None = None,
    heads: int | None = None,
) -> None:
    """Turn a ViT's checkpoint into another format, and fit it to another image size or number of classes on the way.

    Args:
        src: checkpoint to read, see `load_vit`.
        dst: checkpoint to write, see `save_vit`; its suffix says the format.
        image_size: side of the images in pixels that the position embeddings are resized for.
        new_head: number of classes of a new head of zeros.
        heads: number of attention heads; only an .npz of unusual width needs it.

    Raises:
        CheckpointError: the checkpoint is missing, damaged, hostile or no ViT, or the new one cannot be written.
        InputError: an unknown suffix, a size that is no multiple of the patch, or no classes.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from timm.models.vision_transformer import VisionTransformer
        >>> vit = VisionTransformer(img_size=32, patch_size=16, embed_dim=8, depth=1, num_heads=2)
        >>> with TemporaryDirectory() as folder:
        ...     save_vit(vit.state_dict(), f"{folder}/vit.npz", heads=2)
        ...     convert(f"{folder}/vit.npz", f"{folder}/vit.safetensors", image_size=64, new_head=100)
        ...     state = load_vit(f"{folder}/vit.safetensors")
        >>> state["pos_embed"].shape, state["head.weight"].shape
        (torch.Size([1, 17, 8]), torch.Size([100, 8]))
    """
    _format(Path(dst))
    state = load_vit(src)
    with named(src):
        if image_size is not None:
            state = with_image_size(state, image_size)
        if new_head is not None:
            state = with_new_head(state, new_head)
    save_vit(state, dst, heads=heads)


def _format(path: Path) -> Format:
    if path.suffix not in FORMATS:
        raise InputError(f"{path}: {path.suffix!r} is no known checkpoint format; {nearest(path.suffix, FORMATS)}")
    return FORMATS[path.suffix]


def _heads(width: int, heads: int | None) -> int:
    heads = _HEADS.get(width) if heads is None else heads
    if heads is None:
        raise InputError(f"an .npz file needs the number of heads, and width {width} does not tell it; pass heads")
    if heads < 1 or width % heads:
        raise InputError(f"{heads} heads do not divide the width {width}")
    return heads
