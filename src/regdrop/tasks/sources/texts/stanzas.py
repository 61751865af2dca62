"""Debian's control files: stanzas of fields, parted by empty lines."""

from collections.abc import Iterable, Iterator

from regdrop.errors import DataError

MAX_STANZAS = 1_000_000
MAX_STANZA_CHARACTERS = 1 << 20


def read_stanzas(lines: Iterable[str]) -> Iterator[dict[str, str]]:
    r"""The fields of each stanza; the lines that continue a field are joined to it without their leading blank.

    Raises:
        DataError: more or larger stanzas than any archive has.

    Example:
        >>> lines = ["Package: bash\n", "Description-en: GNU shell\n", " Bash is a shell.\n", "\n", "Package: zsh\n"]
        >>> list(read_stanzas(lines))
        [{'Package': 'bash', 'Description-en': 'GNU shell\nBash is a shell.'}, {'Package': 'zsh'}]
    """
    for count, stanza in enumerate(_stanzas(lines)):
        if count == MAX_STANZAS:
            raise DataError(f"a package index has more than {MAX_STANZAS} stanzas; it is not one of Debian's")
        yield _fields(stanza)


def _stanzas(lines: Iterable[str]) -> Iterator[list[str]]:
    stanza: list[str] = []
    size = 0
    for line in lines:
        size += len(line)
        if size > MAX_STANZA_CHARACTERS:
            raise DataError(f"a stanza of a package index has over {MAX_STANZA_CHARACTERS} characters; fetch it again")
        if line.strip():
            stanza.append(line.rstrip())
        elif stanza:
            yield stanza
            stanza, size = [], 0
    if stanza:
        yield stanza


def _fields(stanza: list[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    key = ""
    for line in stanza:
        if line[0].isspace() and key:
            fields[key] += f"\n{line[1:]}"
        else:
            key, _, value = line.partition(":")
            fields[key] = value.strip()
    return fields
