"""A model of transformers in a local folder, on texts or images: safetensors only, and no code of the folder runs."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers

from regdrop.errors import CheckpointError, InputError, RDropError, UnsupportedError, nearest
from regdrop.tasks.sources.jsonl import read_jsonl
from regdrop.training.subjects.images import Sample, list_images, pixels_of
from regdrop.training.subjects.subject import Subject, count_batches, lazy_batches
from regdrop.training.subjects.texts import Batch, TextBatches

MAX_CONFIG = 1_000_000
SAFE: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}


class Kind(NamedTuple):
    """What a head is built by and fed with."""

    auto: str
    make: str
    columns: tuple[str, ...]


KINDS = (
    (r"ForSequenceClassification$", Kind("AutoModelForSequenceClassification", "classification", ("text", "label"))),
    (r"ForImageClassification$", Kind("AutoModelForImageClassification", "images", ())),
    (r"ForCausalLM$|LMHeadModel$", Kind("AutoModelForCausalLM", "causal_lm", ("text",))),
    (r"ForConditionalGeneration$|MTModel$", Kind("AutoModelForSeq2SeqLM", "seq2seq", ("source", "target"))),
)


def transformers_subject(
    folder: Path, data: Path, columns: Sequence[str], options: Mapping[str, float], size: int, batches: int
) -> Subject:
    """The model in a folder on rows of a JSONL file or a folder of images.

    Args:
        folder: with config.json, .safetensors weights, and what its tokenizer or image processor needs.
        data: a .jsonl file, or for an image classifier a folder with a folder of images a class.
        columns: names of the texts and the label, in this order; empty: `text,label`, `text` or `source,target`.
        options: settings of the configuration to change, such as `{"attention_probs_dropout_prob": 0.2}`.
        size: items a batch.
        batches: at most so many.

    Raises:
        CheckpointError: weights are missing, damaged, pickled or need code of their own.
        UnsupportedError: a head that is not one of `KINDS`.
        InputError: an unknown setting.
        DataError: the data is missing, or a row lacks a column.
    """
    kind = _kind(folder)
    model = _loaded(folder, kind, options)
    make: Callable[[Sequence[Any]], Batch]
    items: Sequence[Any]
    if kind.make == "images":
        make, items = _images(folder, model, data)
    else:
        make, items = _texts(folder, model, data, kind, columns or kind.columns)
    name, count = f"{type(model).__name__} in {folder}", count_batches(len(items), size, batches)
    return Subject(model, lazy_batches(items, size, batches, make), count, name, str(data))


def _kind(folder: Path) -> Kind:
    config = _config(folder)
    if (folder / "adapter_config.json").exists():
        raise UnsupportedError(f"{folder} holds an adapter; merge it into its model (merge_and_unload) and save that")
    names = config.get("architectures")
    name = str(names[0]) if isinstance(names, list) and names else "nothing"
    for pattern, kind in KINDS:
        if re.search(pattern, name):
            return kind
    raise UnsupportedError(
        f"{folder}/config.json names {name[:80]!r}, which is no classifier of texts or images and no language model"
    )


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        text = path.read_bytes()
        config = json.loads(text) if len(text) <= MAX_CONFIG else None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read ({' '.join(str(error).split())[:120]})") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{path} is no JSON object of at most {MAX_CONFIG} bytes")
    return config


def _loaded(folder: Path, kind: Kind, changes: Mapping[str, float]) -> Any:
    try:
        config = transformers.AutoConfig.from_pretrained(folder, **SAFE)
        _change(config, changes)
        options = {"config": config, "use_safetensors": True, "output_loading_info": True, **SAFE}
        model, info = getattr(transformers, kind.auto).from_pretrained(folder, **options)
    except RDropError:
        raise
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, ImportError) as error:
        why = " ".join(str(error).split())[:300]
        raise CheckpointError(f"{folder} cannot be loaded from safetensors and its own configuration: {why}") from error
    if info["missing_keys"]:
        missing = sorted(info["missing_keys"])
        raise CheckpointError(
            f"{folder} lacks {len(missing)} weights of its model, such as {missing[0]!r}; save it whole"
        )
    return model


def _change(config: Any, options: Mapping[str, float]) -> None:
    known = [key for key, value in config.to_dict().items() if isinstance(value, int | float)]
    for option, value in options.items():
        if option not in known:
            raise InputError(f"unknown setting model.{option}: {nearest(option, known)}")
        setattr(config, option, value)


def _texts(
    folder: Path, model: Any, data: Path, kind: Kind, columns: Sequence[str]
) -> tuple[Any, list[dict[str, Any]]]:
    if (kind.make == "classification" and len(columns) not in (2, 3)) or len(columns) < len(kind.columns):
        raise InputError(f"--columns {','.join(columns)}: expected {','.join(kind.columns)} or names for them")
    types: dict[str, Any] = dict.fromkeys(columns, str)
    if kind.make == "classification":
        types[columns[-1]] = (int, str)
    rows = read_jsonl(data, types)
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **SAFE)
    except (OSError, ValueError, ImportError, KeyError) as error:
        raise CheckpointError(
            f"{folder} has no tokenizer that can be read: {' '.join(str(error).split())[:200]}"
        ) from error
    batches = TextBatches(tokenizer, columns, model.config.label2id or {}, model.config.num_labels)
    return getattr(batches, kind.make), rows


def _images(folder: Path, model: Any, data: Path) -> tuple[Any, list[Sample]]:
    samples, classes = list_images(data)
    label2id = model.config.label2id or {}
    places = [label2id.get(name, place) for place, name in enumerate(classes)]
    if len(classes) > model.config.num_labels:
        raise InputError(
            f"{data} has {len(classes)} classes, the model {model.config.num_labels}; give it its own data"
        )
    try:
        processor = transformers.AutoImageProcessor.from_pretrained(folder, **SAFE)
    except (OSError, ValueError, ImportError) as error:
        raise CheckpointError(f"{folder} has no image processor: {' '.join(str(error).split())[:200]}") from error
    return partial(_image_batch, processor, getattr(model.config, "num_channels", 3)), [
        (path, places[label]) for path, label in samples
    ]


def _image_batch(processor: Any, channels: int, samples: Sequence[Sample]) -> Batch:
    pixels = processor(images=pixels_of(samples, channels), return_tensors="pt")["pixel_values"]
    return {"pixel_values": pixels, "labels": torch.tensor([label for _, label in samples])}
