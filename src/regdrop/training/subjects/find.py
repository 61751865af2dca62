"""The subject that a user's words mean."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from regdrop.errors import InputError
from regdrop.training.evaluation import Split
from regdrop.training.recipe import load_recipe, parse_overrides
from regdrop.training.subjects.recipe_model import recipe_subject
from regdrop.training.subjects.subject import Subject

TIMM = "timm:"
CONFIG = "config.json"


@dataclass(frozen=True, slots=True)
class Request:
    """What a user wants diagnosed.

    Attributes:
        model: a recipe, the folder of a run, a checkpoint in one, a folder of transformers, or `timm:NAME`.
        data: a JSONL file or a folder; None takes the recipe's own.
        settings: `["--rdrop.alpha", "1"]`, of the recipe, or of the section `model` alone where there is none.
        weights: other weights than `model` says.
        split: which part of a recipe's data.
        columns: of a JSONL file.
        size: items a batch where no recipe says it.
        batches: at most so many.
    """

    model: str
    data: Path | None = None
    settings: tuple[str, ...] = ()
    weights: Path | None = None
    split: Split = "validation"
    columns: tuple[str, ...] = ()
    size: int = 32
    batches: int = 10


def find_subject(request: Request) -> Subject:
    """The model and its batches.

    Raises:
        InputError: the words do not fit together.
        RecipeError: no such recipe, key or value.
        CheckpointError: weights that are missing, damaged or of another model.
        DataError: the data is missing or damaged.

    Example:
        >>> find_subject(Request("digits_vit", batches=1)).name
        'digits_vit, as it starts'
    """
    if request.batches < 1 or request.size < 1:
        raise InputError(f"{request.batches} batches of {request.size} items are none; pass --batches 1 or more")
    run = _run_of(Path(request.model))
    if request.model.startswith(TIMM):
        return _timm(request)
    if run is None and (Path(request.model) / CONFIG).is_file():
        return _transformers(request)
    return _recipe(request, run)


def _run_of(path: Path) -> Path | None:
    """The folder of the run that a path is, or is a checkpoint in."""
    if not path.is_dir() and path.suffix != ".safetensors":
        return None
    return next((place for place in (path, *path.parents[:2]) if (place / "recipe.yaml").is_file()), None)


def _recipe(request: Request, run: Path | None) -> Subject:
    where = () if request.data is None else ("--data.path", str(request.data))
    recipe = load_recipe(request.model if run is None else run, [*request.settings, *where])
    own = None if run is None else Path(request.model)
    return recipe_subject(recipe, request.weights or own, request.split, request.batches)


def _timm(request: Request) -> Subject:
    from regdrop.training.subjects.timm_model import timm_subject

    name, data = request.model.removeprefix(TIMM), _data(request, "a folder with a folder of images a class")
    return timm_subject(name, data, request.weights, _options(request.settings), request.size, request.batches)


def _transformers(request: Request) -> Subject:
    from regdrop.training.subjects.transformers_folder import transformers_subject

    if request.weights is not None:
        raise InputError(f"--weights {request.weights}: a folder of transformers has its own; leave it out")
    data, options = _data(request, "a .jsonl file, or a folder of images"), _options(request.settings)
    return transformers_subject(Path(request.model), data, request.columns, options, request.size, request.batches)


def _data(request: Request, what: str) -> Path:
    if request.data is None:
        raise InputError(f"{request.model} has no data of its own; pass {what} after it")
    return request.data


def _options(settings: Sequence[str]) -> dict[str, float]:
    """Numbers of the section `model`."""
    options = {}
    for key, value in parse_overrides(settings):
        section, _, name = key.partition(".")
        try:
            options[name] = float(value)
        except ValueError:
            section = ""
        if section != "model":
            raise InputError(f"--{key} {value}: without a recipe only numbers can be set, as in --model.drop_rate 0.1")
    return options
