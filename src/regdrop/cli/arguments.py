"""What the commands share: their words, the settings of a recipe, and how values are printed."""

import json
from argparse import Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from regdrop.errors import InputError

Command = Callable[[Namespace, list[str]], None]


def split_settings(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Part the words of the command from settings of the recipe: `--section.key value` or `--section.key=value`."""
    words: list[str] = []
    settings: list[str] = []
    remaining = iter(argv)
    for word in remaining:
        key, equals, _ = word.partition("=")
        if key.startswith("--") and "." in key:
            settings += [word] if equals else [word, *[value for value in [next(remaining, None)] if value is not None]]
        else:
            words.append(word)
    return words, settings


def add_command(commands: Any, name: str, run: Command, about: str, examples: str) -> Any:
    """Add a command whose help ends with examples; `run` gets the arguments and the settings of the recipe."""
    parser = commands.add_parser(
        name,
        help=about,
        description=f"{about[0].upper()}{about[1:]}.",
        epilog=f"examples:\n{examples}",
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(command=run)
    parser.add_argument("--json", action="store_true", help="print JSON instead of text for people")
    return parser


def add_recipe(parser: Any) -> None:
    """Let a command take a recipe and settings of it."""
    parser.add_argument("recipe", metavar="RECIPE", help="a name from `regdrop recipes`, a YAML file or a run's folder")
    parser.usage = f"{parser.prog} RECIPE [options] [--SECTION.KEY VALUE ...]"


def refuse_settings(command: str, settings: list[str]) -> None:
    """Refuse settings of a recipe where there is no recipe.

    Raises:
        InputError: there are some.
    """
    if settings:
        raise InputError(f"{settings[0]} is a setting of a recipe, and {command} takes none")


def show(values: Mapping[str, Any], as_json: bool) -> None:
    """Print named values, aligned for people or as JSON."""
    if as_json:
        print(json.dumps(dict(values), indent=2))
        return
    width = max(len(name) for name in values)
    for name, value in values.items():
        print(f"{name:<{width}}  {value:.4f}" if isinstance(value, float) else f"{name:<{width}}  {value}")
