"""The commands that train by one recipe many times: comparisons and other studies."""

from argparse import ArgumentTypeError, Namespace
from pathlib import Path
from typing import Any

from regdrop.cli.arguments import add_command, add_recipe
from regdrop.errors import InputError

NAMES = """\
studies:
  compare       R-Drop against plain dropout
  alpha         the weight of the divergence: 0, 0.3, 1, 3, 10 and the recipe's own
  every         R-Drop at every 1st, 2nd, 5th, 10th step only
  passes        2, 3, 4 passes a step
  dropout       two passes of different dropout rates: pairs of 0.1, 0.2, 0.4
  double-batch  R-Drop against plain training on as many items a step
  cost          what R-Drop, and less of it, gains by steps and by seconds
  kl            the KL between sub-models while training, with and without R-Drop
  baselines     R-Drop against other regularisers
  search        an alpha searched by optuna, chosen on the validation part
  evidence      whether to spend the second pass: R-Drop at an alpha chosen on the validation
                part, cheaper R-Drop, no dropout, label smoothing, twice the batch, twice the steps

"""


def add_study(commands: Any) -> None:
    """Add the command `study`."""
    examples = """\
  regdrop study alpha digits_vit                         the sweep, five seeds each
  regdrop study alpha digits_vit --grid 0.5,1,2 --seeds 3
  regdrop study passes digits_vit --equal-compute        and baselines that train as long in passes
  regdrop study kl digits_vit --workers 2                two runs at a time
  regdrop study alpha digits_vit --out /shared/sweep     on several machines: they share the runs
  regdrop study search digits_vit --trials 12            interrupted? the same command continues"""
    about = "repeat a study of R-Drop on a recipe: arms, seeds, differences and a report"
    parser = add_command(commands, "study", _study, about, examples)
    parser.epilog = NAMES + parser.epilog
    parser.add_argument("study", metavar="STUDY", help="one of the studies below")
    add_recipe(parser)
    parser.usage = f"{parser.prog} STUDY RECIPE [options] [--SECTION.KEY VALUE ...]"
    _add_options(parser)
    parser.add_argument("--grid", type=_grid, default=(), metavar="A,B,...", help="values of the study's factor")
    parser.add_argument("--trials", type=int, metavar="N", help="alphas that a search tries (default: 10)")
    parser.add_argument("--out", type=Path, help="folder of the study (default: runs/STUDY-RECIPE)")


def add_compare(commands: Any) -> None:
    """Add the command `compare`."""
    examples = """\
  regdrop compare digits_vit                             five seeds with and without R-Drop
  regdrop compare digits_vit --seeds 10 --out runs/ten   interrupted? the same command continues"""
    about = "train with and without R-Drop over several seeds, and test the difference"
    parser = add_command(commands, "compare", _study, about, examples)
    parser.set_defaults(study="compare", grid=(), trials=None)
    add_recipe(parser)
    _add_options(parser)
    parser.add_argument("--out", type=Path, help="folder of the comparison (default: runs/compare-RECIPE)")


def _add_options(parser: Any) -> None:
    parser.add_argument("--seeds", type=int, default=5, help="how many (default: 5)")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="runs at a time, each in its own process")
    parser.add_argument("--equal-compute", action="store_true", help="add baselines that train as long in passes")


def _grid(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(value) for value in text.split(","))
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is no list of numbers such as 0.5,1,2") from error


def _study(arguments: Namespace, settings: list[str]) -> None:
    from regdrop.reports.study import report_study
    from regdrop.studies.catalogue import find_study
    from regdrop.studies.evidence import gather_evidence
    from regdrop.studies.options import Options
    from regdrop.studies.search import search_alpha
    from regdrop.studies.study import run_study
    from regdrop.training.recipe import load_recipe

    study, recipe = find_study(arguments.study), load_recipe(arguments.recipe, settings)
    out = arguments.out or Path("runs") / f"{study.name}-{recipe.name}"
    options = Options(arguments.seeds, arguments.grid, arguments.equal_compute, arguments.workers)
    if study.name == "search":
        result = search_alpha(recipe, out, options, 10 if arguments.trials is None else arguments.trials)
    elif arguments.trials is not None:
        raise InputError(f"--trials: the study {study.name} tries its grid; leave it out, or ask for the study search")
    elif study.name == "evidence":
        result = gather_evidence(recipe, out, options)
    else:
        result = run_study(study, recipe, out, options)
    text = report_study(result, out)
    print(result.to_json() if arguments.json else text)
