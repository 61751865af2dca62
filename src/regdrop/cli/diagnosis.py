"""The commands that look at what is there: a diagnosis of a model, a report of a folder."""

import shlex
from argparse import Namespace
from pathlib import Path
from typing import Any

from regdrop.cli.arguments import add_command, refuse_settings, show
from regdrop.errors import InputError


def add_diagnose(commands: Any) -> None:
    """Add the command `diagnose`."""
    examples = """\
  regdrop diagnose digits_vit                                  a recipe's model before training
  regdrop diagnose runs/digits_vit-seed0 --out runs/diagnosis  the best weights of a run, with a report
  regdrop diagnose runs/compare-digits_vit                     every run of a study, compared seed by seed
  regdrop diagnose my-bert rows.jsonl --columns text,label     a folder that transformers saved
  regdrop diagnose timm:vit_tiny_patch16_224 images --weights vit.safetensors --model.drop_rate 0.1"""
    about = "say whether R-Drop can help a model: how far its sub-models disagree, and where that comes from"
    parser = add_command(commands, "diagnose", _diagnose, about, examples)
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="a recipe, a run's or a study's folder, a checkpoint, a transformers folder, timm:NAME",
    )
    parser.add_argument(
        "data", metavar="DATA", nargs="?", type=Path, help="a JSONL file or image folder (default: the recipe's data)"
    )
    parser.add_argument(
        "--split", choices=["train", "validation", "test"], default="validation", help="(default: validation)"
    )
    parser.add_argument("--passes", type=int, default=8, metavar="K", help="sub-models to draw (default: 8)")
    parser.add_argument("--batches", type=int, default=10, metavar="N", help="at most so many batches (default: 10)")
    parser.add_argument(
        "--batch-size", type=int, default=32, metavar="N", help="items a batch without a recipe (default: 32)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the noise (default: 0)")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="other weights than MODEL's own")
    parser.add_argument(
        "--columns", default="", metavar="NAMES", help="texts and label of a JSONL file, as in a,b,label"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="write diagnosis.json and a report with pictures there")
    parser.usage = f"{parser.prog} MODEL [DATA] [options] [--SECTION.KEY VALUE ...]"


def _diagnose(arguments: Namespace, settings: list[str]) -> None:
    from regdrop.studies.result import STUDY

    if (Path(arguments.model) / STUDY).is_file():
        refuse_settings("diagnose of a study", settings)
        _diagnose_study(arguments)
    else:
        _diagnose_model(arguments, settings)


def _diagnose_model(arguments: Namespace, settings: list[str]) -> None:
    from regdrop.diagnostics.record import DIAGNOSIS
    from regdrop.training.diagnosing import diagnose_subject
    from regdrop.training.folder import write
    from regdrop.training.subjects.find import Request, find_subject

    request = Request(
        model=arguments.model,
        data=arguments.data,
        settings=tuple(settings),
        weights=arguments.weights,
        split=arguments.split,
        columns=tuple(filter(None, arguments.columns.split(","))),
        size=arguments.batch_size,
        batches=arguments.batches,
    )
    command = _command(arguments, settings)
    record = diagnose_subject(find_subject(request), command, passes=arguments.passes, seed=arguments.seed)
    print(record.to_json() if arguments.json else record.diagnosis.to_text(), end="")
    if arguments.out is not None:
        from regdrop.reports.diagnosis import report_diagnosis

        arguments.out.mkdir(parents=True, exist_ok=True)
        write(arguments.out / DIAGNOSIS, record.to_json())
        _say(arguments, report_diagnosis(record, arguments.out))


def _diagnose_study(arguments: Namespace) -> None:
    from regdrop.reports.consistency import consistency_json, consistency_text, read_diagnoses
    from regdrop.reports.study import report_study
    from regdrop.studies.diagnoses import Sample, diagnose_study
    from regdrop.studies.result import read_study

    for name in ("data", "weights", "out"):
        if getattr(arguments, name) is not None:
            raise InputError(f"{name} {getattr(arguments, name)}: a study has its own and is written to; leave it out")
    out = Path(arguments.model)
    study = read_study(out)
    diagnose_study(study, out, Sample(arguments.passes, arguments.batches, arguments.split, arguments.seed))
    diagnoses = read_diagnoses(study, out)
    print(consistency_json(diagnoses) if arguments.json else consistency_text(study, diagnoses))
    report_study(study, out)
    _say(arguments, out / "study.html")


def _command(arguments: Namespace, settings: list[str]) -> str:
    """What to type to get the same."""
    words = ["regdrop", "diagnose", arguments.model, *([] if arguments.data is None else [str(arguments.data)])]
    for name in ("split", "passes", "batches", "batch_size", "seed", "weights", "columns"):
        value = getattr(arguments, name)
        if value not in (None, ""):
            words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join([*words, *settings])


def _say(arguments: Namespace, page: Path) -> None:
    if not arguments.json:
        print(f"\nreport: {page}")


def add_report(commands: Any) -> None:
    """Add the command `report`."""
    examples = """\
  regdrop report runs/compare-digits_vit   a study: study.html, study.md and its pictures
  regdrop report runs/digits_vit-seed0     a run, finished or not
  regdrop report runs/diagnosis            a diagnosis"""
    about = "write the report of a study, a run or a diagnosis into its folder, from records alone"
    parser = add_command(commands, "report", _report, about, examples)
    parser.add_argument("folder", metavar="DIR", type=Path, help="what a study, train or diagnose --out wrote")


def _report(arguments: Namespace, settings: list[str]) -> None:
    from regdrop.reports.report import report

    refuse_settings("report", settings)
    page = report(arguments.folder)
    show({"html": str(page), "markdown": str(page.with_suffix(".md"))}, arguments.json)
