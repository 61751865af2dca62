"""The commands that train and score by recipes."""

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

from regdrop.cli.arguments import add_command, add_recipe, show


def add_recipes(commands: Any) -> None:
    """Add the command `recipes`."""
    examples = """\
  regdrop recipes              all names, each with its purpose
  regdrop recipes digits_vit   one recipe"""
    parser = add_command(
        commands, "recipes", _recipes, "list the recipes, or show one with all it says of itself", examples
    )
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
        show(purposes, arguments.json)


def add_train(commands: Any) -> None:
    """Add the command `train`."""
    examples = """\
  regdrop train digits_vit                           seconds, no download
  regdrop train digits_vit --rdrop.enabled false     the same without R-Drop
  regdrop train digits_vit --rdrop.alpha 0.5 --train.steps 200 --seed 3 --out runs/mine
  regdrop train digits_vit --resume                  continue where it stopped
  regdrop train digits_vit --find-batch-size         as much of a batch at once as the memory holds
  regdrop recipes digits_vit                         what can be set

Ctrl-C and SIGTERM finish the step, save, and exit with 130 and 143; --resume continues. A second one ends at once."""
    parser = add_command(commands, "train", _train, "train by a recipe", examples)
    add_recipe(parser)
    parser.add_argument("--seed", type=int, default=0, help="of all that is random (default: 0)")
    parser.add_argument("--out", type=Path, help="folder of the run (default: runs/RECIPE-seedN)")
    parser.add_argument("--resume", action="store_true", help="continue the run in that folder")
    parser.add_argument(
        "--find-batch-size",
        action="store_true",
        help="halve what is taken at once until a step fits in the memory; the batch stays, by accumulation",
    )


def _train(arguments: Namespace, settings: list[str]) -> None:
    from regdrop.reports.run import draw_run
    from regdrop.training.memory import fitting
    from regdrop.training.recipe import load_recipe
    from regdrop.training.run import train

    recipe = load_recipe(arguments.recipe, settings)
    out = arguments.out or Path("runs") / f"{recipe.name}-seed{arguments.seed}"
    if arguments.find_batch_size:
        recipe = fitting(recipe, out, arguments.seed, resume=arguments.resume)
    summary = train(recipe, out, seed=arguments.seed, resume=arguments.resume)
    picture = draw_run(out)
    if arguments.json:
        print(summary.to_json(), end="")
    else:
        print(f"best on validation: step {summary.best_step}; on the test part:")
        show(summary.test, as_json=False)
        print(f"all of it in {out}, its curves in {picture}; more: regdrop report {out}, regdrop eval {out}")


def add_eval(commands: Any) -> None:
    """Add the command `eval`."""
    examples = """\
  regdrop eval runs/digits_vit-seed0                          the best weights of a run
  regdrop eval digits_vit --checkpoint model.safetensors      a recipe's model with other weights
  regdrop eval runs/digits_vit-seed0 --split validation --json"""
    parser = add_command(commands, "eval", _eval, "score saved weights", examples)
    add_recipe(parser)
    parser.add_argument(
        "--checkpoint",
        type=Path,
        help="weights, or a folder that holds some (default: RECIPE, where it is a run's folder)",
    )
    parser.add_argument("--split", choices=["train", "validation", "test"], default="test", help="(default: test)")


def _eval(arguments: Namespace, settings: list[str]) -> None:
    from regdrop.tasks.task import find_task
    from regdrop.training.evaluation import evaluate
    from regdrop.training.recipe import load_recipe

    recipe = load_recipe(arguments.recipe, settings)
    metrics = evaluate(recipe, arguments.checkpoint or Path(arguments.recipe), split=arguments.split)
    signatures = find_task(recipe.task).signatures(recipe.data)
    show({**metrics, **{f"{name} signature": text for name, text in signatures.items()}}, arguments.json)
