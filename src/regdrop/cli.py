"""The command line: each command parses, calls one function of the library and prints what it returns.

Everything heavy is imported inside the commands, so that help comes at once.
"""

import io
import json
import os
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

from regdrop.errors import InputError, MissingExtraError, RDropError

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the words after `regdrop`; None takes the process's.

    Returns:
        0, or the `exit_code` of the error that was printed as one line on standard error, or 130 after Ctrl-C.

    Example:
        >>> main(["recipes", "digits_vit"])  # doctest: +ELLIPSIS
        # ...
        0
    """
    words, settings = _split_settings(sys.argv[1:] if argv is None else argv)
    arguments = _parser().parse_args(words)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # its hints are for those who call it themselves
    try:
        with _one_voice():
            arguments.command(arguments, settings)
    except ModuleNotFoundError as error:
        return _fail(MissingExtraError(str(error.name), "train"))
    except RDropError as error:
        return _fail(error)
    except OSError as error:
        return _fail(RDropError(str(error)))
    except KeyboardInterrupt:
        print("regdrop: interrupted; the same command with --resume continues", file=sys.stderr)
        return INTERRUPTED
    return 0


def _one_voice() -> AbstractContextManager[object]:
    """Of several processes that run one command (torchrun), the first alone prints its result."""
    return nullcontext() if os.environ.get("RANK", "0") == "0" else redirect_stdout(io.StringIO())


def _fail(error: RDropError) -> int:
    print(f"regdrop: {error}", file=sys.stderr)
    return error.exit_code


def _split_settings(argv: Sequence[str]) -> tuple[list[str], list[str]]:
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


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="regdrop",
        description="R-Drop: train a model so that two passes with different dropout agree.",
        epilog="regdrop COMMAND --help shows what each takes, with examples.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for add in (_add_recipes, _add_train, _add_eval, _add_compare, _add_convert):
        add(commands)
    return parser


def _add(commands: Any, name: str, run: Callable[[Namespace, list[str]], None], about: str, examples: str) -> Any:
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


def _add_recipe(parser: Any) -> None:
    parser.add_argument("recipe", metavar="RECIPE", help="a name from `regdrop recipes`, a YAML file or a run's folder")
    parser.usage = f"{parser.prog} RECIPE [options] [--SECTION.KEY VALUE ...]"


def _add_recipes(commands: Any) -> None:
    examples = (
        "  regdrop recipes              all names, each with its purpose\n  regdrop recipes digits_vit   one recipe"
    )
    parser = _add(commands, "recipes", _recipes, "list the recipes, or show one with all it says of itself", examples)
    parser.add_argument("name", nargs="?", help="the recipe to show")


def _recipes(arguments: Namespace, settings: list[str]) -> None:
    from regdrop.training.recipe import load_recipe, recipe_names, recipe_text

    if arguments.name and not settings and not arguments.json:
        print(recipe_text(arguments.name)[1], end="")
    elif arguments.name:
        recipe = load_recipe(arguments.name, settings)
        print(json.dumps(recipe.to_dict(), indent=2) if arguments.json else recipe.to_yaml(), end="\n")
    else:
        purposes = {name: recipe_text(name)[1].splitlines()[0].removeprefix("# Purpose: ") for name in recipe_names()}
        _show(purposes, arguments.json)


def _add_train(commands: Any) -> None:
    examples = """\
  regdrop train digits_vit                           seconds, no download
  regdrop train digits_vit --rdrop.enabled false     the same without R-Drop
  regdrop train digits_vit --rdrop.alpha 0.5 --train.steps 200 --seed 3 --out runs/mine
  regdrop train digits_vit --resume                  continue where it stopped
  regdrop recipes digits_vit                         what can be set"""
    parser = _add(commands, "train", _train, "train by a recipe", examples)
    _add_recipe(parser)
    parser.add_argument("--seed", type=int, default=0, help="of all that is random (default: 0)")
    parser.add_argument("--out", type=Path, help="folder of the run (default: runs/RECIPE-seedN)")
    parser.add_argument("--resume", action="store_true", help="continue the run in that folder")


def _train(arguments: Namespace, settings: list[str]) -> None:
    from regdrop.reports.run import report_run
    from regdrop.training.recipe import load_recipe
    from regdrop.training.run import train

    recipe = load_recipe(arguments.recipe, settings)
    out = arguments.out or Path("runs") / f"{recipe.name}-seed{arguments.seed}"
    summary = train(recipe, out, seed=arguments.seed, resume=arguments.resume)
    picture = report_run(summary, out)
    if arguments.json:
        print(summary.to_json(), end="")
    else:
        print(f"best on validation: step {summary.best_step}; on the test part:")
        _show(summary.test, as_json=False)
        print(f"all of it in {out}, its curves in {picture}; again: regdrop eval {out}")


def _add_eval(commands: Any) -> None:
    examples = """\
  regdrop eval runs/digits_vit-seed0                          the best weights of a run
  regdrop eval digits_vit --checkpoint model.safetensors      a recipe's model with other weights
  regdrop eval runs/digits_vit-seed0 --split validation --json"""
    parser = _add(commands, "eval", _eval, "score saved weights", examples)
    _add_recipe(parser)
    parser.add_argument("--checkpoint", type=Path, help="weights, or a folder that holds some (default: RECIPE's own)")
    parser.add_argument("--split", choices=["train", "validation", "test"], default="test", help="(default: test)")


def _eval(arguments: Namespace, settings: list[str]) -> None:
    from regdrop.training.evaluation import evaluate
    from regdrop.training.recipe import load_recipe

    recipe = load_recipe(arguments.recipe, settings)
    _show(evaluate(recipe, arguments.checkpoint or Path(arguments.recipe), split=arguments.split), arguments.json)


def _add_compare(commands: Any) -> None:
    examples = """\
  regdrop compare digits_vit                             five seeds with and without R-Drop
  regdrop compare digits_vit --seeds 10 --out runs/ten   interrupted? the same command continues"""
    parser = _add(
        commands,
        "compare",
        _compare,
        "train with and without R-Drop over several seeds, and test the difference",
        examples,
    )
    _add_recipe(parser)
    parser.add_argument("--seeds", type=int, default=5, help="how many (default: 5)")
    parser.add_argument("--out", type=Path, help="folder of the comparison (default: runs/compare-RECIPE)")
    parser.add_argument("--equal-compute", action="store_true", help="add a baseline that trains as long in passes")


def _compare(arguments: Namespace, settings: list[str]) -> None:
    from regdrop.reports.comparison import report_comparison
    from regdrop.studies.compare import compare
    from regdrop.training.recipe import load_recipe

    recipe = load_recipe(arguments.recipe, settings)
    out = arguments.out or Path("runs") / f"compare-{recipe.name}"
    comparison = compare(recipe, out, seeds=arguments.seeds, equal_compute=arguments.equal_compute)
    text = report_comparison(comparison, out)
    print(comparison.to_json() if arguments.json else text)


def _add_convert(commands: Any) -> None:
    examples = """\
  regdrop convert ViT-B_16.npz vit.safetensors                           Google's to timm's
  regdrop convert vit.pdparams vit.bin                                   Paddle's to the official code's
  regdrop convert ViT-B_16.npz vit.pth --image-size 384 --new-head 100   to fine-tune on CIFAR-100"""
    about = "turn a ViT's checkpoint into another format; nothing in it is run"
    parser = _add(commands, "convert", _convert, about, examples)
    formats = "by its suffix .npz (Google), .bin (official), .pth or .safetensors (timm), .pdparams (Paddle)"
    parser.add_argument("source", metavar="IN", type=Path, help=f"checkpoint to read, {formats}")
    parser.add_argument("target", metavar="OUT", type=Path, help="checkpoint to write, by its suffix likewise")
    parser.add_argument("--image-size", type=int, metavar="PIXELS", help="resize the position embeddings for it")
    parser.add_argument("--new-head", type=int, metavar="CLASSES", help="put a head of zeros for so many classes")
    parser.add_argument("--heads", type=int, help="of the attention; only an .npz of unusual width needs it")


def _convert(arguments: Namespace, settings: list[str]) -> None:
    from regdrop.checkpoints.vit import convert

    if settings:
        raise InputError(f"{settings[0]} is a setting of a recipe, and convert takes none")
    sizes = {"image_size": arguments.image_size, "new_head": arguments.new_head, "heads": arguments.heads}
    convert(arguments.source, arguments.target, **sizes)
    _show({"written": str(arguments.target), "bytes": arguments.target.stat().st_size}, arguments.json)


def _show(values: Mapping[str, Any], as_json: bool) -> None:
    """Print named values, aligned for people or as JSON."""
    if as_json:
        print(json.dumps(dict(values), indent=2))
        return
    width = max(len(name) for name in values)
    for name, value in values.items():
        print(f"{name:<{width}}  {value:.4f}" if isinstance(value, float) else f"{name:<{width}}  {value}")
