import json
from itertools import combinations

import pytest

from regdrop.errors import DataError
from regdrop.tasks.sources.texts import debian
from regdrop.tasks.sources.texts.debian import choose_descriptions, fetch_descriptions, part_of, read_descriptions

LONG = "This package holds a program that does what its name says, and does so rather well."


def packages(*rows):
    """Lines of a Packages file; a row is (package, source, md5)."""
    text = "".join(
        f"Package: {name}\n{f'Source: {source}' if source else 'Priority: x'}\nDescription-md5: {md5}\n\n"
        for name, source, md5 in rows
    )
    return text.splitlines(keepends=True)


def translations(*rows):
    """Lines of a Translation-en file; a row is (package, md5, synopsis, text)."""
    text = "".join(
        f"Package: {name}\nDescription-md5: {md5}\nDescription-en: {synopsis}\n {text}\n\n"
        for name, md5, synopsis, text in rows
    )
    return text.splitlines(keepends=True)


def choose(packages_rows, translations_rows):
    found = choose_descriptions(packages(*packages_rows), translations(*translations_rows))
    return {each.source: (each.synopsis, each.text) for each in found}


def test_a_package_s_source_is_joined_to_its_description():
    found = choose(
        [("bash-doc", "bash (5.2-1)", "m1"), ("zsh", None, "m2")],
        [("bash-doc", "m1", "GNU shell manual", LONG), ("zsh", "m2", "shell with more", f"{LONG} Z")],
    )
    assert found == {"bash": ("GNU shell manual", LONG), "zsh": ("shell with more", f"{LONG} Z")}


@pytest.mark.parametrize("names", [("foo-b", "foo", "foo-a"), ("foo", "foo-a", "foo-b")])
def test_the_package_called_like_its_source_speaks_for_it(names):
    rows = [(name, "foo", name) for name in names]
    texts = [(name, name, f"synopsis of {name}", f"{LONG} {name}") for name in names]
    assert choose(rows, texts)["foo"][0] == "synopsis of foo"


def test_else_the_first_by_name_does():
    rows = [(name, "foo", name) for name in ("foo-b", "foo-a")]
    texts = [(name, name, f"synopsis of {name}", f"{LONG} {name}") for name in ("foo-b", "foo-a")]
    assert choose(rows, texts)["foo"][0] == "synopsis of foo-a"


def test_paragraphs_are_joined_and_their_dots_dropped():
    found = choose([("a", None, "m")], [("a", "m", "some synopsis", f"{LONG}\n .\n  * one\n  * two.")])
    assert found["a"][1] == f"{LONG} * one * two."


@pytest.mark.parametrize(
    ("synopsis", "text"),
    [
        ("transitional package", LONG),
        ("some synopsis", f"{LONG} This is a dummy package."),
        ("short", LONG),
        ("x" * 101, LONG),
        ("some synopsis", "too short"),
        ("some synopsis", "x" * 3001),
    ],
)
def test_what_is_no_clean_pair_is_left_out(synopsis, text):
    assert choose([("a", None, "m")], [("a", "m", synopsis, text)]) == {}


def test_a_text_is_kept_once_and_a_description_without_package_not_at_all():
    found = choose(
        [("a", None, "m1"), ("b", None, "m2")],
        [
            ("a", "m1", "one synopsis", LONG),
            ("b", "m2", "other synopsis", LONG),
            ("c", "m3", "third synopsis", f"{LONG} c"),
        ],
    )
    assert list(found) == ["a"]


def test_versions_of_one_source_share_a_part_and_the_shares_are_as_promised():
    for name in ("gcc", "linux", "python"):
        assert len({part_of(f"{name}{version}") for version in ("", "-9", "3.11", "-6.1", "12")}) == 1
    parts = [part_of(f"package{chr(97 + i % 26)}{chr(97 + i // 26)}") for i in range(26 * 26)]
    assert 0.85 < parts.count("train") / len(parts) < 0.95
    assert set(parts) == {"train", "validation", "test"}


def test_no_source_is_in_two_parts(tmp_path):
    names = [f"lib{chr(97 + i % 26)}{chr(97 + i // 26)}{version}" for i in range(300) for version in ("", "2")]
    path = tmp_path / "d.jsonl"
    path.write_text("".join(json.dumps({"source": n, "synopsis": f"s {n}", "text": n}) + "\n" for n in names))
    parts = [{text.rstrip("2") for text in part.sources} for part in read_descriptions(path)]
    assert all(parts)
    assert not any(one & other for one, other in combinations(parts, 2))
    assert sum(map(len, parts)) == 300


def test_what_was_fetched_is_cached_and_read_back(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    rows = [(f"p{chr(97 + i)}", None, f"m{i}") for i in range(26)]
    texts = [(name, md5, f"synopsis {name}", f"{LONG} {name}") for name, _, md5 in rows]
    monkeypatch.setattr(debian, "fetch_indexes", lambda use: use(packages(*rows), translations(*texts)))
    path = fetch_descriptions()
    monkeypatch.setattr(debian, "fetch_indexes", lambda use: pytest.fail("fetched twice"))
    assert fetch_descriptions() == path
    assert sum(map(len, read_descriptions(path))) == 26


def test_an_archive_without_descriptions_is_not_cached(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(debian, "fetch_indexes", lambda use: use([], []))
    with pytest.raises(DataError, match="hold no descriptions"):
        fetch_descriptions()
    assert not list(tmp_path.rglob("*.jsonl"))


def test_a_damaged_cache_names_its_line(tmp_path):
    path = tmp_path / "d.jsonl"
    path.write_text('{"source": "a", "synopsis": "b"}\n')
    with pytest.raises(DataError, match=r"d\.jsonl, line 1: has no 'text'"):
        read_descriptions(path)
