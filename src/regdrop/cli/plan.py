"""The command that measures what each way to train costs."""

import json
from argparse import Namespace
from typing import Any

from regdrop.cli.arguments import add_command, add_recipe


def add_plan(commands: Any) -> None:
    """Add the command `plan`."""
    examples = """\
  regdrop plan digits_vit                                          time and memory of every way, and which to take
  regdrop plan cifar10_vit --train.batch_size 32 --train.micro_batch 8
  regdrop plan digits_vit --ways concat,shared,replay --json       some of them, for a program"""
    about = "measure what each way to train costs for a recipe's model and batch, and recommend one"
    parser = add_command(commands, "plan", _plan, about, examples)
    add_recipe(parser)
    parser.add_argument("--ways", metavar="NAMES", help="separated by commas; plain is always there (default: all)")
    parser.add_argument("--rounds", type=int, default=7, help="how often each is timed (default: 7)")


def _plan(arguments: Namespace, settings: list[str]) -> None:
    from regdrop.reports.plan import plan_text
    from regdrop.studies.cost.plan import plan
    from regdrop.training.recipe import load_recipe

    names = [name.strip() for name in arguments.ways.split(",")] if arguments.ways else ()
    found = plan(load_recipe(arguments.recipe, settings), names, rounds=arguments.rounds)
    print(json.dumps(found.to_dict(), indent=2) if arguments.json else plan_text(found))
