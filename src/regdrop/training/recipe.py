"""Recipes: everything that decides a training run but its seed, as YAML and as typed values."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError, ArgumentParser

from regdrop.errors import RecipeError, nearest
from regdrop.tasks.task import find_task
from regdrop.training.settings import RDropSettings, TrainSettings

FOLDER = Path(str(files("regdrop") / "recipes"))
MAX_CHARACTERS = 100_000


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to train one model on one data set.

    Attributes:
        name: of the recipe, as its file is called.
        task: key of `regdrop.tasks.task.TASKS`; it decides the types of `data` and, some with its `architecture`, of
            `model`.
        data: what to learn from.
        model: what learns.
        rdrop: the regulariser.
        train: optimisation, evaluation, precision.

    Example:
        >>> recipe = load_recipe("digits_vit", ["--rdrop.alpha", "0.5"])
        >>> recipe.rdrop.alpha, recipe.data.source
        (0.5, 'digits')
    """

    name: str
    task: str
    data: Any
    model: Any
    rdrop: RDropSettings
    train: TrainSettings

    def to_yaml(self) -> str:
        """The recipe with every setting written out, as `load_recipe` reads it back."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False)

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain values."""
        return asdict(self)


def recipe_names() -> list[str]:
    """Names of the recipes that come with regdrop.

    Example:
        >>> "digits_vit" in recipe_names()
        True
    """
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def recipe_text(name_or_path: str | Path) -> tuple[str, str]:
    """Name and YAML text of a recipe: a shipped one, a file, or the one in the folder of a run.

    Raises:
        RecipeError: there is no such recipe.
    """
    shipped, path = FOLDER / f"{name_or_path}.yaml", Path(name_or_path)
    path = path / "recipe.yaml" if path.is_dir() else path
    for candidate in (shipped, path):
        if candidate.is_file():
            text = candidate.read_text(encoding="utf-8", errors="replace")
            if len(text) > MAX_CHARACTERS:
                raise RecipeError(f"{candidate} has {len(text)} characters; a recipe has at most {MAX_CHARACTERS}")
            return candidate.stem, text
    if len(path.parts) > 1:
        raise RecipeError(f"there is no recipe in {path}; pass a YAML file, the folder of a run, or a recipe's name")
    raise RecipeError(f"unknown recipe {str(name_or_path)!r}: {nearest(str(name_or_path), recipe_names())}")


def load_recipe(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and change some of its settings.

    Args:
        name_or_path: name of a shipped recipe, path of a YAML file, or the folder of a run.
        overrides: `["--train.steps", "300", "--data.path=DIR"]`: a key of the recipe and its new value.

    Raises:
        RecipeError: no such recipe or key (names the nearest one), or a value of the wrong type or range.
    """
    name, text = recipe_text(name_or_path)
    try:
        raw = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date or number that is none
        raise RecipeError(f"{name_or_path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(raw, dict) or not isinstance(raw.get("task"), str):
        raise RecipeError(f"{name_or_path} is no recipe: it needs a task and the sections data, model, rdrop and train")
    settings = parse_overrides(overrides)
    sections = _sections(raw, dict(settings))
    _check_keys(raw, sections)
    for key, value in settings:
        _override(raw, sections, key, value)
    return _typed({"name": name, **raw}, sections)


def holds_recipe(path: Path, recipe: Recipe) -> bool:
    """Whether a file holds this recipe, settings that it does not name having their defaults.

    So a run begun before a setting was there can be continued. A file that cannot be read holds another recipe.

    Example:
        >>> holds_recipe(FOLDER / "digits_vit.yaml", load_recipe("digits_vit"))
        True
    """
    try:
        return load_recipe(path) == recipe
    except RecipeError:
        return False


def _sections(raw: Mapping[str, Any], settings: Mapping[str, str]) -> dict[str, type[Any]]:
    """The dataclass of each section; the task decides, and for `model` its architecture."""
    task, model = find_task(raw["task"]), raw.get("model")
    written = model.get("architecture") if isinstance(model, dict) else None
    architecture = settings.get("model.architecture", written)
    kind = task.model_of(None if architecture is None else str(architecture))
    return {"data": task.data, "model": kind, "rdrop": RDropSettings, "train": TrainSettings}


def _check_keys(raw: Mapping[str, Any], sections: Mapping[str, type[Any]]) -> None:
    """Refuse unknown sections and keys, and values that are not plain."""
    for section, values in raw.items():
        if section in ("name", "task"):
            _check_text(section, values)
            continue
        if section not in sections or not isinstance(values, dict):
            raise RecipeError(f"unknown section {section!r}: {nearest(str(section), sections)}")
        for key, value in values.items():
            _check_key(f"{section}.{key}", sections)
            if not isinstance(value, str | int | float | bool | None):
                raise RecipeError(f"{section}.{key} must be one plain value, not a {type(value).__name__}")
            _check_text(f"{section}.{key}", value)


def _check_text(key: str, value: object) -> None:
    """Refuse what no path can be: YAML may hold half a character, or a zero byte."""
    with suppress(UnicodeEncodeError):
        if b"\0" not in os.fsencode(str(value)):
            return
    raise RecipeError(f"{key} is {str(value)[:40]!r}, which holds half a character or a zero byte; write it anew")


def _check_key(key: str, sections: Mapping[str, type[Any]]) -> None:
    section = key.partition(".")[0]
    if section not in sections:
        raise RecipeError(f"unknown key {key!r}: {nearest(section, sections)}")
    known = [f"{section}.{field.name}" for field in fields(sections[section])]
    if key not in known:
        raise RecipeError(f"unknown key {key!r}: {nearest(key, known)}")


def parse_overrides(overrides: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of key and value out of `--key value` and `--key=value`."""
    pairs, words = [], iter(overrides)
    for word in words:
        key, equals, value = word.partition("=")
        if not key.startswith("--") or len(key) < 3:
            raise RecipeError(f"expected a setting such as --rdrop.alpha 1.0, but got {word!r}")
        given = value if equals else next(words, None)
        if given is None:
            raise RecipeError(f"{key} needs a value; write {key} VALUE")
        pairs.append((key.removeprefix("--"), given))
    return pairs


def _override(raw: dict[str, Any], sections: Mapping[str, type[Any]], key: str, value: str) -> None:
    _check_key(key, sections)
    section, _, name = key.partition(".")
    raw.setdefault(section, {})[name] = None if value in ("null", "none", "None") else value


def _typed(raw: dict[str, Any], sections: Mapping[str, type[Any]]) -> Recipe:
    parser = ArgumentParser(exit_on_error=False)
    for section, kind in sections.items():
        parser.add_argument(f"--{section}", type=kind)
    try:
        parsed = parser.parse_object({section: raw.get(section, {}) for section in sections})
    except ArgumentError as error:
        raise RecipeError(f"recipe {raw['name']}: {_one_line(error)}") from error
    values = parser.instantiate(parsed)
    return Recipe(name=str(raw["name"]), task=raw["task"], **{section: values[section] for section in sections})


def _one_line(error: Exception) -> str:
    return " ".join(str(error).replace("Parser key", "setting").replace("<class '", "'").replace("'>", "'").split())
