import pytest

from regdrop.errors import DataError
from regdrop.tasks.sources.texts import stanzas
from regdrop.tasks.sources.texts.stanzas import read_stanzas


def read(text):
    return list(read_stanzas(text.splitlines(keepends=True)))


def test_fields_stanzas_and_continued_lines():
    text = "Package: a\nSource: b (1.2)\nDescription-en: one: line\n more\n .\n end\n\n\n\nPackage: c\n"
    assert read(text) == [
        {"Package": "a", "Source": "b (1.2)", "Description-en": "one: line\nmore\n.\nend"},
        {"Package": "c"},
    ]


def test_a_continuation_of_nothing_and_a_line_without_colon_are_no_error():
    assert read(" lost\nword\n") == [{" lost": "", "word": ""}]


def test_nothing_gives_nothing():
    assert read("") == read("\n\n") == []


@pytest.mark.parametrize(
    ("limit", "words"), [("MAX_STANZAS", "more than 3 stanzas"), ("MAX_STANZA_CHARACTERS", "over 3")]
)
def test_too_much_of_it_is_refused(monkeypatch, limit, words):
    monkeypatch.setattr(stanzas, limit, 3)
    with pytest.raises(DataError, match=words):
        read("A: b\n\n" * 9)
