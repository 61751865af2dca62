"""Find the command, run it, and turn errors into one line and an exit code."""

import io
import os
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, redirect_stdout

from regdrop.cli.arguments import split_settings
from regdrop.cli.diagnosis import add_diagnose, add_report
from regdrop.cli.plan import add_plan
from regdrop.cli.runs import add_eval, add_recipes, add_train
from regdrop.cli.studies import add_compare, add_study
from regdrop.cli.tools import add_alpha, add_convert
from regdrop.errors import MissingExtraError, RDropError

COMMANDS = (
    add_recipes,
    add_train,
    add_eval,
    add_compare,
    add_study,
    add_plan,
    add_diagnose,
    add_report,
    add_convert,
    add_alpha,
)
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
    words, settings = split_settings(sys.argv[1:] if argv is None else argv)
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
        print("regdrop: interrupted; the same command continues (train: with --resume)", file=sys.stderr)
        return INTERRUPTED
    return 0


def _one_voice() -> AbstractContextManager[object]:
    """Of several processes that run one command (torchrun), the first alone prints its result."""
    return nullcontext() if os.environ.get("RANK", "0") == "0" else redirect_stdout(io.StringIO())


def _fail(error: RDropError) -> int:
    print(f"regdrop: {error}", file=sys.stderr)
    return error.exit_code


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="regdrop",
        description="R-Drop: train a model so that two passes with different dropout agree.",
        epilog="regdrop COMMAND --help shows what each takes, with examples.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for add in COMMANDS:
        add(commands)
    return parser
