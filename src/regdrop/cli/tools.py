"""The commands that need no recipe: checkpoints between formats, alphas between conventions."""

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

from regdrop.cli.arguments import add_command, refuse_settings, show


def add_convert(commands: Any) -> None:
    """Add the command `convert`."""
    examples = """\
  regdrop convert ViT-B_16.npz vit.safetensors                           Google's to timm's
  regdrop convert vit.pdparams vit.bin                                   Paddle's to the official code's
  regdrop convert ViT-B_16.npz vit.pth --image-size 384 --new-head 100   to fine-tune on CIFAR-100"""
    about = "turn a ViT's checkpoint into another format; nothing in it is run"
    parser = add_command(commands, "convert", _convert, about, examples)
    formats = "by its suffix .npz (Google), .bin (official), .pth or .safetensors (timm), .pdparams (Paddle)"
    parser.add_argument("source", metavar="IN", type=Path, help=f"checkpoint to read, {formats}")
    parser.add_argument("target", metavar="OUT", type=Path, help="checkpoint to write, by its suffix likewise")
    parser.add_argument("--image-size", type=int, metavar="PIXELS", help="resize the position embeddings for it")
    parser.add_argument("--new-head", type=int, metavar="CLASSES", help="put a head of zeros for so many classes")
    parser.add_argument("--heads", type=int, help="of the attention; only an .npz of unusual width needs it")


def _convert(arguments: Namespace, settings: list[str]) -> None:
    from regdrop.checkpoints.vit import convert

    refuse_settings("convert", settings)
    sizes = {"image_size": arguments.image_size, "new_head": arguments.new_head, "heads": arguments.heads}
    convert(arguments.source, arguments.target, **sizes)
    show({"written": str(arguments.target), "bytes": arguments.target.stat().st_size}, arguments.json)


def add_alpha(commands: Any) -> None:
    """Add the command `alpha`."""
    examples = """\
  regdrop alpha --micro-batch 32 --classes 100           every published alpha, in this library's terms
  regdrop alpha 0.3 --convention vit --micro-batch 32    one of them: 19.2
  regdrop alpha --micro-batch 32 --tokens 4096 --json    token-level losses, for a program"""
    parser = add_command(commands, "alpha", _alpha, "translate the alpha of published implementations", examples)
    parser.add_argument("alpha", nargs="?", type=float, help="as taken there (default: as published)")
    parser.add_argument("--convention", metavar="NAME", help="one row of the table only")
    parser.add_argument("--micro-batch", type=int, metavar="N", help="samples a forward pass of one process")
    parser.add_argument("--classes", type=int, metavar="C", help="classes, or size of the vocabulary")
    parser.add_argument("--tokens", type=int, metavar="T", help="valid tokens of a micro-batch, for token-level losses")


def _alpha(arguments: Namespace, settings: list[str]) -> None:
    from regdrop.losses.alpha import alpha_table, paper_alpha

    refuse_settings("alpha", settings)
    sizes = {"micro_batch": arguments.micro_batch, "classes": arguments.classes, "tokens": arguments.tokens}
    if arguments.convention:
        given = 1.0 if arguments.alpha is None else arguments.alpha
        show({"alpha": paper_alpha(given, arguments.convention, **sizes)}, arguments.json)
        return
    rows = alpha_table(arguments.alpha, **sizes)
    print(json.dumps(rows, indent=2) if arguments.json else _alpha_text(rows))


def _alpha_text(rows: list[dict[str, Any]]) -> str:
    lines = [f"{'convention':<26} {'alpha':>7}  {'here':>9}  is that times"]
    for row in rows:
        here = "?" if row["here"] is None else f"{row['here']:g}"
        note = f"  ({row['note']})" if row["note"] else ""
        lines.append(f"{row['name']:<26} {row['alpha']:>7g}  {here:>9}  {row['factor']}{note}")
    return "\n".join([*lines, "", "?: needs a size that was not given; items: tokens where given, samples elsewhere"])
