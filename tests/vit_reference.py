"""Two slow re-statements of the ViT in float64: on Google's arrays, heads apart, and on separate q, k, v matrices."""

import math

import numpy as np
import torch
from torch.nn.functional import conv2d, layer_norm
from torch.nn.functional import gelu as exact_gelu

WIDTH, HEADS, DEPTH, HIDDEN, PATCH, SIDE, CLASSES = 64, 4, 2, 96, 4, 12, 10
TOKENS = 1 + (SIDE // PATCH) ** 2


def google_shapes(classes=CLASSES):
    """The names and shapes of Google's files, at a tiny size."""
    of_a_head = WIDTH // HEADS
    shapes = {
        "cls": (1, 1, WIDTH),
        "embedding/kernel": (PATCH, PATCH, 3, WIDTH),
        "embedding/bias": (WIDTH,),
        "Transformer/posembed_input/pos_embedding": (1, TOKENS, WIDTH),
        "Transformer/encoder_norm/scale": (WIDTH,),
        "Transformer/encoder_norm/bias": (WIDTH,),
        "head/kernel": (WIDTH, classes),
        "head/bias": (classes,),
    }
    for i in range(DEPTH):
        block = f"Transformer/encoderblock_{i}"
        for norm in ("LayerNorm_0", "LayerNorm_2"):
            shapes |= {f"{block}/{norm}/scale": (WIDTH,), f"{block}/{norm}/bias": (WIDTH,)}
        attention = f"{block}/MultiHeadDotProductAttention_1"
        for part in ("query", "key", "value"):
            shapes |= {
                f"{attention}/{part}/kernel": (WIDTH, HEADS, of_a_head),
                f"{attention}/{part}/bias": (HEADS, of_a_head),
            }
        shapes |= {f"{attention}/out/kernel": (HEADS, of_a_head, WIDTH), f"{attention}/out/bias": (WIDTH,)}
        shapes |= {f"{block}/MlpBlock_3/Dense_0/kernel": (WIDTH, HIDDEN), f"{block}/MlpBlock_3/Dense_0/bias": (HIDDEN,)}
        shapes |= {f"{block}/MlpBlock_3/Dense_1/kernel": (HIDDEN, WIDTH), f"{block}/MlpBlock_3/Dense_1/bias": (WIDTH,)}
    return shapes


def google_arrays(seed=0):
    random = np.random.default_rng(seed)
    return {key: random.normal(0, 0.3, shape).astype(np.float32) for key, shape in google_shapes().items()}


def image(seed=1):
    return torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def normalised(x, scale, bias):
    mean = x.mean(-1, keepdims=True)
    return (x - mean) / np.sqrt(((x - mean) ** 2).mean(-1, keepdims=True) + 1e-6) * scale + bias


def gelu(x):
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def google_logits(arrays, images):
    """Logits in NumPy, straight from the arrays as Google's files hold them."""
    w = {key: array.astype(np.float64) for key, array in arrays.items()}
    pixels = images.double().numpy()
    n, side = len(pixels), pixels.shape[-1] // PATCH
    patches = pixels.reshape(n, 3, side, PATCH, side, PATCH)
    x = (
        np.einsum("nciajb,abcd->nijd", patches, w["embedding/kernel"]).reshape(n, side * side, WIDTH)
        + w["embedding/bias"]
    )
    x = np.concatenate([np.broadcast_to(w["cls"], (n, 1, WIDTH)), x], 1) + w["Transformer/posembed_input/pos_embedding"]
    for i in range(DEPTH):
        block = f"Transformer/encoderblock_{i}"
        attention = f"{block}/MultiHeadDotProductAttention_1"
        y = normalised(x, w[f"{block}/LayerNorm_0/scale"], w[f"{block}/LayerNorm_0/bias"])
        q, k, v = (
            np.einsum("ntd,dhe->nhte", y, w[f"{attention}/{part}/kernel"]) + w[f"{attention}/{part}/bias"][:, None]
            for part in ("query", "key", "value")
        )
        mixed = softmax(np.einsum("nhte,nhse->nhts", q, k) / math.sqrt(WIDTH // HEADS)) @ v
        x = x + np.einsum("nhte,hed->ntd", mixed, w[f"{attention}/out/kernel"]) + w[f"{attention}/out/bias"]
        y = normalised(x, w[f"{block}/LayerNorm_2/scale"], w[f"{block}/LayerNorm_2/bias"])
        y = gelu(y @ w[f"{block}/MlpBlock_3/Dense_0/kernel"] + w[f"{block}/MlpBlock_3/Dense_0/bias"])
        x = x + y @ w[f"{block}/MlpBlock_3/Dense_1/kernel"] + w[f"{block}/MlpBlock_3/Dense_1/bias"]
    x = normalised(x, w["Transformer/encoder_norm/scale"], w["Transformer/encoder_norm/bias"])
    return torch.from_numpy(x[:, 0] @ w["head/kernel"] + w["head/bias"])


def official_logits(state, images, heads=HEADS, drop=lambda x: x):
    """Logits in float64 from a state dict with the official names, query, key and value apart; `drop` is dropout."""
    w = {key: weight.double() for key, weight in state.items()}

    def linear(x, name):
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(x, name):
        return layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"], eps=1e-6)

    embeddings = "transformer.embeddings"
    weight = w[f"{embeddings}.patch_embeddings.weight"]
    x = conv2d(images.double(), weight, w[f"{embeddings}.patch_embeddings.bias"], stride=weight.shape[-1])
    x = torch.cat([w[f"{embeddings}.cls_token"].expand(len(x), -1, -1), x.flatten(2).transpose(1, 2)], 1)
    x = drop(x + w[f"{embeddings}.position_embeddings"])
    for i in range(sum(key.endswith("attention_norm.weight") for key in w)):
        layer = f"transformer.encoder.layer.{i}"
        y = norm(x, f"{layer}.attention_norm")
        parts = (linear(y, f"{layer}.attn.{part}") for part in ("query", "key", "value"))
        q, k, v = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in parts)
        mixed = torch.softmax(q @ k.transpose(2, 3) / math.sqrt(q.shape[-1]), -1) @ v
        x = x + linear(mixed.transpose(1, 2).flatten(2), f"{layer}.attn.out")
        y = drop(exact_gelu(linear(norm(x, f"{layer}.ffn_norm"), f"{layer}.ffn.fc1")))
        x = x + drop(linear(y, f"{layer}.ffn.fc2"))
    return linear(norm(x, "transformer.encoder.encoder_norm")[:, 0], "head")
