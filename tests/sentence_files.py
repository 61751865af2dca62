"""Tiny files in the columns of GLUE's tasks, a tiny pretrained model, and recipes made tiny on them."""

import json
import random

from transformers import PreTrainedTokenizerFast

from regdrop.tasks.glue import GLUE
from regdrop.tasks.models.encoder import build_encoder
from regdrop.tasks.sequence_classification import _tokenizer
from regdrop.tasks.tokens.bpe import PAD, SPECIAL
from regdrop.training.recipe import load_recipe

GOOD = ["bright", "clever", "funny", "great", "lovely", "moving", "warm"]
BAD = ["awful", "bland", "dull", "flat", "noisy", "sad", "tired"]
PLAIN = ["the", "film", "story", "actor", "scene", "plot", "music", "is", "was", "and", "a", "very", "quite"]

SIZES = {
    "model.width": 16,
    "model.depth": 1,
    "model.heads": 2,
    "model.feed_forward": 32,
    "model.vocabulary": 400,
    "model.positions": 64,
    "data.max_length": 64,
    "data.validation": 8,
    "train.batch_size": 8,
    "train.steps": 2,
    "train.eval_every": 1,
    "train.warmup_steps": 1,
    "train.eval_batch": 16,
    "train.precision": "fp32",
}


def sentence(words, draw):
    return " ".join(draw.choices(PLAIN + 2 * words, k=draw.randint(3, 20)))


def rows(name, count, seed=0):
    """Rows whose label can be told from their words."""
    draw, glue = random.Random(seed), GLUE[name]
    for _ in range(count):
        label = draw.randrange(max(2, glue.classes))
        texts = {column: sentence(GOOD if label else BAD, draw) for column in glue.texts}
        yield texts | {"label": 2.5 * label if glue.classes == 1 else label}


def write(folder, name, **counts):
    """`NAME.jsonl` for each part named, of so many rows."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (part, count) in enumerate(counts.items()):
        (folder / f"{part}.jsonl").write_text("\n".join(json.dumps(row) for row in rows(name, count, seed)))
    return folder


def save_pretrained(folder, model):
    """A folder as the hub has them: weights, config and a tokenizer in the model's own format."""
    texts = [row["sentence"] for row in rows("sst2", 50)]
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=_tokenizer(texts, model), pad_token=SPECIAL[PAD])
    tokenizer.save_pretrained(folder)
    build_encoder(model).save_pretrained(folder)
    return folder


def tiny_recipe(name, folder, **changes):
    """A recipe made tiny, on the data in `folder`; changes are `section__key=value`."""
    settings = SIZES | {"data.path": folder} | {key.replace("__", "."): value for key, value in changes.items()}
    return load_recipe(name, [f"--{key}={value}" for key, value in settings.items()])
