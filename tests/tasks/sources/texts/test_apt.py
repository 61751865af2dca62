"""With stand-ins for apt-get and apt-helper on the path; the real ones where REGDROP_APT asks for them."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from regdrop.errors import DataError
from regdrop.tasks.sources.texts import apt
from regdrop.tasks.sources.texts.apt import fetch_indexes

UPDATE = """#!/bin/sh
[ "$1" = -c ] && [ "$3" = update ] || exit 9
lists=$(sed -n 's/^Dir::State::lists "\\(.*\\)";$/\\1/p' "$2")
[ -d "$lists/partial" ] || exit 8
printf 'Package: a\\n' > "$lists/deb_dists_x_main_binary-amd64_Packages"
printf 'Package: a\\nDescription-en: s\\n t\\n' > "$lists/deb_dists_x_main_i18n_Translation-en"
"""
HELPER = '#!/bin/sh\n[ "$1" = cat-file ] || exit 9\nshift\ncat "$@"\n'


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """Write stand-ins that are found before the system's."""

    def write(update=UPDATE, helper=HELPER):
        for name, text in (("apt-get", update), ("apt-helper", helper)):
            (tmp_path / name).write_text(text)
            (tmp_path / name).chmod(0o755)
        monkeypatch.setattr(apt, "APT_HELPER", str(tmp_path / "apt-helper"))
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    return write


def both(packages, translations):
    return list(packages), list(translations)


def test_the_lines_of_both_indexes(tools):
    tools()
    assert fetch_indexes(both) == (["Package: a\n"], ["Package: a\n", "Description-en: s\n", " t\n"])


def test_nothing_stays_behind(tools, tmp_path, monkeypatch):
    tools()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    fetch_indexes(both)
    assert not list(scratch.iterdir())


def test_without_network_the_last_word_of_apt_is_passed_on(tools):
    tools(update="#!/bin/sh\necho 'W: one' >&2\necho 'E: no network' >&2\nexit 100\n")
    with pytest.raises(DataError, match=r"\(E: no network\).*--data\.path FILE") as caught:
        fetch_indexes(both)
    assert "\n" not in str(caught.value)


def test_an_index_that_cannot_be_unpacked_is_named(tools):
    tools(helper="#!/bin/sh\necho 'Package: a'\nexit 100\n")
    with pytest.raises(DataError, match="apt-helper cannot read deb_dists_x_main_binary-amd64_Packages"):
        fetch_indexes(both)


def test_without_apt_it_says_so(monkeypatch):
    monkeypatch.setattr(apt, "APT_HELPER", "/nowhere/apt-helper")
    with pytest.raises(DataError, match="there is no apt on this machine"):
        fetch_indexes(both)


def test_the_configuration_keeps_apt_in_its_folder(tools, tmp_path):
    """Every folder that it writes to is inside, and the hooks of the system are cleared."""
    tools(update=UPDATE + f'cp "$2" {tmp_path}/seen.conf\n')
    fetch_indexes(both)
    lines = Path(tmp_path / "seen.conf").read_text().splitlines()
    folders = [line.split('"')[1] for line in lines if line.startswith("Dir::")]
    assert len(folders) == 2
    assert all("regdrop-apt-" in folder for folder in folders)
    assert "#clear APT::Update;" in lines


@pytest.mark.skipif("REGDROP_APT" not in os.environ, reason="REGDROP_APT is not set: the archive is not asked")
@pytest.mark.skipif(shutil.which("apt-get") is None, reason="no apt on this machine")
def test_the_real_archive_has_descriptions():
    packages, translations = fetch_indexes(both)
    assert sum(line.startswith("Package: ") for line in packages) > 10_000
    assert sum(line.startswith("Description-en: ") for line in translations) > 10_000
