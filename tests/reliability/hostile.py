"""Files from strangers: whole ones to begin with, ways to damage them, and the readers that may only refuse them."""

import gzip
import io
import pickle
import struct
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image
from timm.models.vision_transformer import VisionTransformer

from regdrop.checkpoints.pdparams import read_pdparams
from regdrop.checkpoints.vit import load_vit, save_vit
from regdrop.errors import RDropError
from regdrop.reports.records import read_records
from regdrop.tasks.sources.images.folder import decode, read_folder
from regdrop.tasks.sources.images.idx import read_idx
from regdrop.tasks.sources.jsonl import read_jsonl
from regdrop.training.recipe import load_recipe, recipe_text
from regdrop.training.summary import RunSummary

PICTURES = ("png", "jpeg", "bmp", "webp")
CHECKPOINTS = ("npz", "pth", "safetensors", "pdparams")
RECORD = b'{"step": 1, "seconds": 0.1, "loss": 1.0, "task_loss": 1.0, "kl": 0.0, "lr": 0.1, "grad_norm": 1.0}\n'
SUMMARY = (
    b'{"recipe": "r", "seed": 0, "rdrop": {}, "steps": 1, "best_step": 1, '
    b'"validation": {}, "test": {}, "signatures": {}, "seconds": 1.0, "versions": {}, "finished": true}'
)


def picture(kind):
    """A small image file."""
    file = io.BytesIO()
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(file, kind.upper())
    return file.getvalue()


def archive():
    """A zip file of images in two folders."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for number in range(6):
            packed.writestr(f"{'cat' if number % 2 else 'dog'}/{number}.png", picture("png"))
    return file.getvalue()


def checkpoint(suffix):
    """A tiny ViT."""
    vit = VisionTransformer(img_size=4, patch_size=2, embed_dim=4, depth=1, num_heads=2, num_classes=2)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"vit.{suffix}")
        save_vit(vit.state_dict(), path, heads=2)
        return path.read_bytes()


def idx():
    """The labels of three digits, as MNIST has them."""
    return struct.pack(">HBBI", 0, 8, 1, 3) + bytes((4, 0, 9))


def _image(path):
    with path.open("rb") as file:
        decode(path.name, file, 3, 8)


def pickled():
    """The tiny ViT as Paddle pickles it, in each protocol."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "vit.pdparams")
        path.write_bytes(checkpoint("pdparams"))
        state = {key: weight.numpy() for key, weight in read_pdparams(path).items()}
    return [pickle.dumps(state, protocol) for protocol in (2, 3, 4)]


def packed():
    """The tiny ViT as `numpy.savez_compressed` packs it."""
    file = io.BytesIO()
    with np.load(io.BytesIO(checkpoint("npz"))) as arrays:
        np.savez_compressed(file, **arrays)
    return [file.getvalue()]


# Name of the file: how a whole one is made, how it is read.
KINDS = {
    "recipe.yaml": (recipe_text("digits_vit")[1].encode, load_recipe),
    "rows.jsonl": (lambda: b'{"text": "good", "label": 1}\n' * 3, lambda p: read_jsonl(p, {"text": str, "label": int})),
    "records.jsonl": (lambda: RECORD * 3, lambda p: read_records(p.parent)),
    "summary.json": (lambda: SUMMARY, lambda p: RunSummary.from_json(p.read_text(errors="replace"))),
    "labels-idx1-ubyte": (idx, read_idx),
    "labels-idx1-ubyte.gz": (lambda: gzip.compress(idx()), read_idx),
    "images.zip": (archive, lambda p: read_folder(str(p), 8, 3)),
    **{f"image.{kind}": (lambda kind=kind: picture(kind), _image) for kind in PICTURES},
    **{f"vit.{suffix}": (lambda suffix=suffix: checkpoint(suffix), load_vit) for suffix in CHECKPOINTS},
}


MORE = {"vit.pdparams": pickled, "vit.npz": packed}


def whole_files(name):
    """Whole files of a kind, in each form it has."""
    return [KINDS[name][0](), *MORE.get(name, list)()]


def damaged(content, edits):
    """Bytes with pieces put over, put in or cut out.

    Args:
        content: of a whole file.
        edits: (place from 0 to 1, how many bytes to take out, what to put there).
    """
    for place, length, new in edits:
        at = int(place * len(content))
        content = content[:at] + new + content[at + length :]
    return content


def read_hostile(name, content, folder):
    """Read a file of some kind; True where it was read, False where it was refused; any other error comes out."""
    path = folder / name
    path.write_bytes(content)
    try:
        KINDS[name][1](path)
    except RDropError:
        return False
    return True


def random_edits(chance):
    """A few edits of a seeded generator, most of them small."""
    sizes = [0, 0, 1, 1, 2, 4, 8, 64]
    return [
        (chance.random(), chance.choice([*sizes, 10_000]), chance.randbytes(chance.choice(sizes)))
        for _ in range(chance.choice([1, 1, 2, 4]))
    ]


def fuzz(name, chance, seconds, folder):
    """Damage and read files of a kind for so long; how many were read, how many refused."""
    whole, counts, end = KINDS[name][0](), [0, 0], time.monotonic() + seconds
    while time.monotonic() < end:
        counts[read_hostile(name, damaged(whole, random_edits(chance)), folder)] += 1
    return counts[1], counts[0]
