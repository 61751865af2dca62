"""Debian's package descriptions as summaries: a long text and the synopsis above it, split by source package."""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from regdrop.checkpoints.atomic import atomic_path
from regdrop.errors import DataError
from regdrop.tasks.sources.cache import cache_folder
from regdrop.tasks.sources.jsonl import read_jsonl
from regdrop.tasks.sources.texts.apt import fetch_indexes
from regdrop.tasks.sources.texts.stanzas import read_stanzas
from regdrop.tasks.tokens.pairs import TextPairs

PARTS = ("train", "validation", "test")
TEXT_LENGTHS = range(80, 3001)
SYNOPSIS_LENGTHS = range(10, 101)
PLACEHOLDER = re.compile(r"\b(transitional|dummy|metapackage|meta-package|virtual package)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Description:
    """What one source package says of itself.

    Attributes:
        source: name of the source package.
        synopsis: its one line.
        text: its long description, in one line.
    """

    source: str
    synopsis: str
    text: str


def fetch_descriptions() -> Path:
    """The cached file of descriptions, one JSON object a line; fetched with apt where it is not there yet.

    Raises:
        DataError: there is no apt here, or it cannot fetch descriptions; says what to pass instead.
    """
    path = cache_folder() / "debian-descriptions.jsonl"
    if not path.is_file():
        found = fetch_indexes(choose_descriptions)
        if not found:
            raise DataError("the package indexes that apt fetched hold no descriptions; pass --data.path FILE")
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as beside:
            beside.write_text("".join(json.dumps(asdict(each)) + "\n" for each in found), encoding="utf-8")
    return path


def read_descriptions(path: Path) -> tuple[TextPairs, TextPairs, TextPairs]:
    """The training, validation and test part of a file that `fetch_descriptions` made.

    Raises:
        DataError: the file is missing or damaged.
    """
    rows = read_jsonl(path, {"source": str, "synopsis": str, "text": str})
    train, validation, test = (
        TextPairs([row["text"] for row in chosen], [row["synopsis"] for row in chosen])
        for chosen in ([row for row in rows if part_of(row["source"]) == part] for part in PARTS)
    )
    return train, validation, test


def part_of(source: str) -> str:
    """The part of the data that a source package belongs to, the same in every run: 90, 5 and 5 %.

    Names that differ in a version alone, whose descriptions are nearly the same, go to the same part.

    Example:
        >>> part_of("gcc-13") == part_of("gcc-14") == part_of("gcc")
        True
    """
    stem = re.sub(r"[\d.+-]+", "", source)
    drawn = int.from_bytes(hashlib.sha256(stem.encode()).digest()[:8]) % 20
    return {0: "test", 1: "validation"}.get(drawn, "train")


def choose_descriptions(packages: Iterable[str], translations: Iterable[str]) -> list[Description]:
    """Join the two indexes of a Debian archive and keep one clean pair of each source package.

    A package called like its source speaks for it, else the first by name. Left out are placeholders, texts and
    synopses that are too short or too long, and a text that another source has too.

    Args:
        packages: lines of its Packages files: they name the source of each description.
        translations: lines of its Translation-en files: they hold the descriptions.

    Returns:
        Sorted by the name of the source.
    """
    sources = {
        fields["Description-md5"]: fields.get("Source", fields["Package"]).split(" ")[0]
        for fields in read_stanzas(packages)
        if {"Package", "Description-md5"} <= fields.keys()
    }
    found: dict[str, tuple[bool, str, Description]] = {}
    for fields in read_stanzas(translations):
        source, package = sources.get(fields.get("Description-md5", "")), fields.get("Package", "")
        described = _description(source, fields.get("Description-en", "")) if source else None
        if described:
            candidate = (package != described.source, package, described)
            found[described.source] = min(found.get(described.source, candidate), candidate, key=lambda each: each[:2])
    unique = {each.text: each for _, (_, _, each) in sorted(found.items(), reverse=True)}
    return sorted(unique.values(), key=lambda each: each.source)


def _description(source: str, field: str) -> Description | None:
    synopsis, _, rest = field.partition("\n")
    text = " ".join(word for word in rest.split() if word != ".")
    clean = len(text) in TEXT_LENGTHS and len(synopsis) in SYNOPSIS_LENGTHS and not PLACEHOLDER.search(field)
    return Description(source, synopsis, text) if clean else None
