"""One table of the weights of a ViT: what each is called and how it lies in every kind of file.

The sizes in `shape`: D width, 3D three times that, M width in the MLP, C channels, P patch side, T tokens, K classes.

Source: Google's names and forms as the loader of the official R-Drop code (vit_src) reads them; that code's own names;
timm's `VisionTransformer`; Paddle's layers hold every Linear weight as [in, out].
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from regdrop.checkpoints import transforms
from regdrop.checkpoints.refusals import shown
from regdrop.checkpoints.transforms import Kind, Transform
from regdrop.errors import CheckpointError


@dataclass(frozen=True, slots=True)
class Row:
    """One weight; `{i}` stands for the block, `{qkv}` for query, key and value apart. Paddle's names are timm's."""

    kind: Kind
    shape: str
    timm: str
    google: str
    official: str


def _both(kind: Kind, shape: str, timm: str, google: tuple[str, str, str], official: str) -> list[Row]:
    """The weight and the bias of one layer; `google` is its folder and what weight and bias are called in there."""
    folder, weight, bias = google
    bias_kind: Kind = "qkv_bias" if kind == "qkv_weight" else "plain"
    return [
        Row(kind, shape, f"{timm}.weight", f"{folder}/{weight}", f"{official}.weight"),
        Row(bias_kind, shape.split()[0], f"{timm}.bias", f"{folder}/{bias}", f"{official}.bias"),
    ]


def _dense(kind: Kind, shape: str, timm: str, google: str, official: str) -> list[Row]:
    return _both(kind, shape, timm, (google, "kernel", "bias"), official)


def _norm(timm: str, google: str, official: str) -> list[Row]:
    return _both("plain", "D", timm, (google, "scale", "bias"), official)


_T, _G = "blocks.{i}", "Transformer/encoderblock_{i}"
_O, _ATTENTION = "transformer.encoder.layer.{i}", "MultiHeadDotProductAttention_1"

PATCHES, PATCHES_BIAS = _dense(
    "patches", "D C P P", "patch_embed.proj", "embedding", "transformer.embeddings.patch_embeddings"
)
CLASS_TOKEN = Row("plain", "1 1 D", "cls_token", "cls", "transformer.embeddings.cls_token")
POSITIONS = Row(
    "plain",
    "1 T D",
    "pos_embed",
    "Transformer/posembed_input/pos_embedding",
    "transformer.embeddings.position_embeddings",
)
QKV, QKV_BIAS = _dense("qkv_weight", "3D D", f"{_T}.attn.qkv", f"{_G}/{_ATTENTION}/{{qkv}}", f"{_O}.attn.{{qkv}}")
HIDDEN, HIDDEN_BIAS = _dense("linear", "M D", f"{_T}.mlp.fc1", f"{_G}/MlpBlock_3/Dense_0", f"{_O}.ffn.fc1")
HEAD, HEAD_BIAS = _dense("linear", "K D", "head", "head", "head")

EMBEDDING_ROWS = (CLASS_TOKEN, POSITIONS, PATCHES, PATCHES_BIAS)
BLOCK_ROWS = (
    *_norm(f"{_T}.norm1", f"{_G}/LayerNorm_0", f"{_O}.attention_norm"),
    QKV,
    QKV_BIAS,
    *_dense("heads_out", "D D", f"{_T}.attn.proj", f"{_G}/{_ATTENTION}/out", f"{_O}.attn.out"),
    *_norm(f"{_T}.norm2", f"{_G}/LayerNorm_2", f"{_O}.ffn_norm"),
    HIDDEN,
    HIDDEN_BIAS,
    *_dense("linear", "D M", f"{_T}.mlp.fc2", f"{_G}/MlpBlock_3/Dense_1", f"{_O}.ffn.fc2"),
)
NORM_ROWS = tuple(_norm("norm", "Transformer/encoder_norm", "transformer.encoder.encoder_norm"))
HEAD_ROWS = (HEAD, HEAD_BIAS)


@dataclass(frozen=True, slots=True)
class Layout:
    """A naming of the weights.

    Attributes:
        name: for messages.
        column: of `Row` that holds its names.
        transforms: between its weights and the canonical ones.
        ignored: names that may be there and are not read, and why.
        heads_apart: whether the number of heads can be read off its shapes.
        needs_qkv_bias: whether it has no way to say that query, key and value have no bias.
    """

    name: str
    column: str
    transforms: Mapping[Kind, Transform]
    ignored: Mapping[str, str]
    heads_apart: bool = False
    needs_qkv_bias: bool = False


_NO_PRE_LOGITS = (
    "the layer before the head is not part of a fine-tuned ViT; replace the head, which was trained behind it"
)
TIMM = Layout("timm", "timm", transforms.TIMM, {})
OFFICIAL = Layout("official PyTorch", "official", transforms.OFFICIAL, {}, needs_qkv_bias=True)
PADDLE = Layout("Paddle", "timm", transforms.PADDLE, {})
GOOGLE = Layout(
    "Google",
    "google",
    transforms.GOOGLE,
    dict.fromkeys(("pre_logits/kernel", "pre_logits/bias"), _NO_PRE_LOGITS),
    heads_apart=True,
    needs_qkv_bias=True,
)


@dataclass(frozen=True, slots=True)
class Naming:
    """A layout, and what stands before all its names in one file, such as `module.`."""

    layout: Layout
    prefix: str = ""

    def names(self, row: Row, block: int = 0) -> list[str]:
        """The name of a weight in the file, or the three of query, key and value.

        Example:
            >>> Naming(OFFICIAL).names(QKV_BIAS, 7)[2]
            'transformer.encoder.layer.7.attn.value.bias'
        """
        template: str = self.prefix + getattr(row, self.layout.column).replace("{i}", str(block))
        parts = ("query", "key", "value") if "{qkv}" in template else ("",)
        return [template.replace("{qkv}", part) for part in parts]

    def depth(self, keys: Collection[str]) -> int:
        """How many blocks the keys speak of."""
        start = self.prefix + getattr(BLOCK_ROWS[0], self.layout.column).partition("{i}")[0]
        pattern = re.compile(re.escape(start) + r"([^./]+)[./]")
        return len({match[1] for key in keys if (match := pattern.match(key))})


def find_naming(keys: Collection[str], layouts: Sequence[Layout]) -> Naming:
    """Which of the layouts the keys follow, and the prefix they share: what stands before the patch embedding's name.

    Raises:
        CheckpointError: no key, or more than one, is the patch embedding of a ViT.

    Example:
        >>> naming = find_naming(["module.patch_embed.proj.weight", "module.cls_token"], [TIMM, OFFICIAL])
        >>> naming.layout.name, naming.prefix
        ('timm', 'module.')
    """
    found = [
        Naming(layout, key.removesuffix(marker))
        for layout in layouts
        for marker in Naming(layout).names(PATCHES)
        for key in keys
        if re.search(rf"(^|[./]){re.escape(marker)}$", key)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise CheckpointError(
            f"holds {len(found)} ViTs, at {shown(found[0].prefix)} and {shown(found[1].prefix)}; pass one"
        )
    markers = " or ".join(f"{Naming(layout).names(PATCHES)[0]} ({layout.name})" for layout in layouts)
    first = shown(next(iter(keys), ""))
    raise CheckpointError(f"is no ViT: it lacks {markers}; its first key is {first}")
