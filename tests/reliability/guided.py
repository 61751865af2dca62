"""Damage to one kind of file, guided by coverage (atheris), in a process of its own: `python -m reliability.guided`."""

import argparse
import io
import random
import sys
import zipfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["gzip", "json", "pickletools", "regdrop", "reliability", "zipfile"]):
    from regdrop.errors import RDropError
    from reliability.hostile import KINDS, whole_files

SEED = 8
PATIENCE = 600  # seconds for one file: no machine is so slow
MOST_MEGABYTES = 4096


def main():
    """Damage and read files until the time or the number is up; exit code 77 where another error came out."""
    parser = argparse.ArgumentParser(prog="python -m reliability.guided")
    parser.add_argument("name", choices=KINDS)
    parser.add_argument("folder", type=Path, help="gets the corpus, and the file that caused an error")
    parser.add_argument("--seconds", type=int, default=0, help="0: no limit")
    parser.add_argument("--runs", type=int, default=-1, help="-1: no limit")
    parser.add_argument("--treasure", default="", help="words of a refusal that count as an error: is it found?")
    asked = parser.parse_args()
    corpus = asked.folder / "corpus"
    corpus.mkdir()
    for number, content in enumerate(whole_files(asked.name)):
        (corpus / str(number)).write_bytes(content)
    options = {
        "max_total_time": asked.seconds,
        "runs": asked.runs,
        "seed": SEED,
        "timeout": PATIENCE,
        "rss_limit_mb": MOST_MEGABYTES,
        "print_final_stats": 1,
        "artifact_prefix": f"{asked.folder}/",
    }
    words = [sys.argv[0], *(f"-{key}={value}" for key, value in options.items()), str(corpus)]
    path = asked.folder / asked.name
    atheris.Setup(words, lambda data: read(path, data, asked.treasure), **mutator(asked.name))
    atheris.Fuzz()


def read(path, content, treasure):
    """Read a file of the kind its name says; a refusal is what is expected, unless it is the one looked for."""
    path.write_bytes(content)
    try:
        KINDS[path.name][1](path)
    except RDropError as error:
        if treasure and treasure in str(error):
            raise


def mutator(name):
    """For archives, whose checksums would hide all damage to what is in them: damage that keeps the sums right."""
    return {"custom_mutator": damaged_entry} if name.endswith((".npz", ".pth", ".zip")) else {}


def damaged_entry(content, most, seed):
    """An archive with one entry damaged, or, every other time, damaged itself."""
    chance = random.Random(seed)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = [[name, archive.read(name)] for name in archive.namelist()]
    except Exception:  # it is damaged itself already
        entries = []
    if not entries or chance.random() < 0.5:
        return atheris.Mutate(content, most)
    chosen = chance.choice(entries)
    chosen[1] = atheris.Mutate(chosen[1], len(chosen[1]) + 64)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return file.getvalue()[:most]


if __name__ == "__main__":
    main()
