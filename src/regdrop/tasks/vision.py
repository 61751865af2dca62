"""Image classification: the sections of its recipes, its data and its score."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from torch import nn
from torch.utils.data import Dataset
from transformers import EvalPrediction

from regdrop.errors import DataError, RecipeError
from regdrop.tasks.evaluation.answers import calibration_error, class_answers
from regdrop.tasks.images.labelled import ImageDataset, LabelledImages, collate, hold_out
from regdrop.tasks.images.transforms import Augmentation, Prepare
from regdrop.tasks.models.cnn import CNNModel, ConvolutionalClassifier
from regdrop.tasks.models.image_classifier import ImageClassifier
from regdrop.tasks.models.vit import ViTModel, build_vit, load_pretrained
from regdrop.tasks.sections import ONE_OR_MORE, check_ranges
from regdrop.tasks.sources.images.cifar import read_cifar
from regdrop.tasks.sources.images.digits import read_digits
from regdrop.tasks.sources.images.fashion_mnist import read_fashion_mnist
from regdrop.tasks.sources.images.files import list_files
from regdrop.tasks.sources.images.folder import read_folder
from regdrop.tasks.task import Splits, Task

Source = Literal["digits", "fashion_mnist", "cifar10", "cifar100", "folder", "files"]
ImageModel = ViTModel | CNNModel


@dataclass(frozen=True, slots=True)
class ImageData:
    """The `data` section of an image recipe.

    Attributes:
        source: "digits" (scikit-learn's), "fashion_mnist", "cifar10", "cifar100", or one folder a class: "folder"
            holds the images in memory at the model's size, "files" decodes them from disk whenever they are needed.
        path: where the data lies; None searches the usual places and downloads what can be downloaded.
        validation: how many training images to hold out for choosing the checkpoint; the same ones in every run.
        train_limit: learn from this many of the remaining images only; None: from all.
        augmentation: what happens at random to a training image; see `Prepare`.
    """

    source: Source
    validation: int
    path: str | None = None
    train_limit: int | None = None
    augmentation: Augmentation = "none"

    def __post_init__(self) -> None:
        check_ranges("data", self, validation=ONE_OR_MORE, train_limit=ONE_OR_MORE)


def load_images(data: ImageData, model: ImageModel, seed: int) -> Splits:
    """Read, split and prepare the images of a recipe.

    Args:
        data: which images.
        model: gives the size, channels and number of classes they must have.
        seed: of the augmentation; the split does not depend on it.

    Raises:
        DataError: the data is missing, damaged or too small.
        RecipeError: the model's channels or classes are not the data's.
    """
    pool, test = _read(data, model)
    _check_fit(pool, model)
    train, validation = hold_out(pool, data.validation)
    if data.train_limit is not None:
        train = train[: data.train_limit]
    augmented, plain = Prepare(model.image_size, data.augmentation), Prepare(model.image_size, "none")
    return Splits(
        train=ImageDataset(train, augmented, seed),
        validation=ImageDataset(validation, plain, seed),
        test=ImageDataset(test, plain, seed),
        collate=collate,
    )


def _read(data: ImageData, model: ImageModel) -> tuple[LabelledImages, LabelledImages]:
    if data.path is not None and data.source == "digits":
        raise DataError(f"--data.path {data.path} is not read: the digits come with scikit-learn; use source 'folder'")
    match data.source:
        case "digits":
            return read_digits()
        case "fashion_mnist":
            return read_fashion_mnist(data.path)
        case "cifar10" | "cifar100":
            return read_cifar(int(data.source.removeprefix("cifar")), data.path)
        case "folder":
            return read_folder(data.path, model.image_size, model.channels)
        case "files":
            return list_files(data.path, model.channels)


def _check_fit(images: LabelledImages, model: ImageModel) -> None:
    for key, given, found in (
        ("channels", model.channels, images.channels),
        ("classes", model.classes, images.classes),
    ):
        if given != found:
            raise RecipeError(f"the images have {found} {key}, the recipe says {given}; pass --model.{key} {found}")


def _build(model: ImageModel) -> ImageClassifier:
    return ConvolutionalClassifier(model) if isinstance(model, CNNModel) else build_vit(model)


def _load_pretrained(network: nn.Module, model: ImageModel) -> None:
    if isinstance(model, ViTModel):  # a CNN starts from random weights
        load_pretrained(network, model)


def _score(evaluation: EvalPrediction, _part: Dataset[Any]) -> dict[str, float]:
    _, _, choices, confidences = evaluation.predictions
    labels = evaluation.label_ids
    return {"accuracy": float(np.mean(choices == labels)), "ece": calibration_error(choices, confidences, labels)}


TASK = Task(
    data=ImageData,
    model=ViTModel,
    load=load_images,
    build=_build,
    condense=class_answers,
    score=_score,
    best=lambda _data: "accuracy",
    load_pretrained=_load_pretrained,
    models={"vit": ViTModel, "cnn": CNNModel},
)
