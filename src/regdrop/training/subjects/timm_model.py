"""A model of timm with its weights, on a folder of images."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from timm.data import resolve_model_data_config
from torch import Tensor, nn

from regdrop.checkpoints.model import load_into
from regdrop.checkpoints.refusals import named
from regdrop.checkpoints.vit import load_vit
from regdrop.errors import InputError, nearest
from regdrop.training.evaluation import load_weights
from regdrop.training.subjects.images import Sample, list_images, pixels_of
from regdrop.training.subjects.subject import Subject, count_batches, lazy_batches

OPTIONS = (
    "attn_drop_rate",
    "drop_path_rate",
    "drop_rate",
    "img_size",
    "patch_drop_rate",
    "pos_drop_rate",
    "proj_drop_rate",
)


def timm_subject(
    name: str, data: Path, weights: Path | None, options: Mapping[str, float], size: int, batches: int
) -> Subject:
    """A model by its name in timm; nothing is downloaded.

    Args:
        name: as `timm.list_models()` knows it.
        data: folder with a folder of images a class, in the order of the model's classes when sorted.
        weights: a .safetensors file under timm's names, or any format of `load_vit` for a ViT; None: random weights.
        options: of `OPTIONS`, such as `{"drop_rate": 0.1}`; timm's models drop nothing unless told to.
        size: images a batch.
        batches: at most so many.

    Raises:
        InputError: an unknown name or option.
        DataError: no images there.
        CheckpointError: the weights are missing, damaged or another model's.
    """
    samples, classes = list_images(data)
    model = _model(name, len(classes), options)
    if weights is not None:
        _load(model, weights)
    config = resolve_model_data_config(model)
    channels, pixels = config["input_size"][0], int(options.get("img_size", config["input_size"][-1]))
    prepare = _Prepare(config["mean"], config["std"], channels, pixels)
    count = count_batches(len(samples), size, batches)
    return Subject(model, lazy_batches(samples, size, batches, prepare), count, f"timm {name}", str(data))


class _Prepare:
    """Image files into `(pixels, labels)`, resized and normalised as the model's configuration says."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], channels: int, size: int) -> None:
        self._mean, self._std = (torch.tensor(values).view(-1, 1, 1) for values in (mean, std))
        self._channels, self._size = channels, size

    def __call__(self, samples: Sequence[Sample]) -> tuple[Tensor, Tensor]:
        pixels = torch.stack(pixels_of(samples, self._channels, self._size)).float() / 255
        return (pixels - self._mean) / self._std, torch.tensor([label for _, label in samples])


def _model(name: str, classes: int, options: Mapping[str, float]) -> nn.Module:
    if not timm.is_model(name):
        raise InputError(f"timm has no model {name[:80]!r}: {nearest(name, timm.list_models(f'{name[:3]}*'))[:300]}")
    for option in options:
        if option not in OPTIONS:
            raise InputError(f"unknown setting model.{option}: {nearest(option, OPTIONS)}")
    whole: dict[str, Any] = {key: int(value) if key == "img_size" else value for key, value in options.items()}
    try:
        model: nn.Module = timm.create_model(name, pretrained=False, num_classes=classes, **whole)
    except (TypeError, ValueError, AssertionError) as error:
        raise InputError(f"timm cannot build {name} with {dict(options)}: {' '.join(str(error).split())}") from error
    return model


def _load(model: nn.Module, weights: Path) -> None:
    if weights.suffix == ".safetensors" or not isinstance(model, timm.models.VisionTransformer):
        load_weights(model, weights)
        return
    state = load_vit(weights)
    with named(weights):
        load_into(model, state)
