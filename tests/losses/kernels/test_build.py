"""The library is built once, kept where only the user writes, and never trusted when damaged."""

import ctypes
import shutil
import subprocess
import sys

import pytest

from regdrop.errors import UnsupportedError
from regdrop.losses.kernels import build

ENTRY = "regdrop_float32"


@pytest.fixture
def fast(monkeypatch, tmp_path):
    """A cache of its own, and no time spent on optimising."""
    monkeypatch.setenv("REGDROP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(build, "FLAGS", (*build.FLAGS, "-O0"))


def libraries():
    return sorted(build.cache_folder().glob("*"))


def test_one_build_serves_all_and_a_damaged_one_is_replaced(fast, monkeypatch):
    assert hasattr(build.library(), ENTRY)
    (path,) = libraries()
    assert build.cache_folder().stat().st_mode & 0o777 == 0o700
    whole = path.read_bytes()

    built = []
    really_build = build._built
    monkeypatch.setattr(build, "_built", lambda *given: built.append(1) or really_build(*given))
    assert hasattr(build.library(), ENTRY)
    assert not built
    for damage in (whole[: len(whole) // 2], b"", whole[:-1] + bytes([whole[-1] ^ 1])):
        path.unlink()
        path.write_bytes(damage)
        assert hasattr(build.library(), ENTRY)
        assert built.pop()
        assert path.read_bytes() == whole


def test_another_source_flag_or_processor_is_another_library(fast, monkeypatch, tmp_path):
    names = {build._fingerprint(["c++"])}
    monkeypatch.setattr(build, "FLAGS", (*build.FLAGS, "-DOTHER"))
    names.add(build._fingerprint(["c++"]))
    monkeypatch.setattr(build, "_processor", lambda: "another")
    names.add(build._fingerprint(["c++"]))
    sources = shutil.copytree(build.SOURCES, tmp_path / "cpp")
    monkeypatch.setattr(build, "SOURCES", sources)
    assert build._fingerprint(["c++"]) in names
    files = sorted(sources.iterdir())
    for changed in files:
        changed.write_text(changed.read_text() + "\n// changed\n")
        names.add(build._fingerprint(["c++"]))
    assert len(names) == 3 + len(files)


def test_processes_that_start_at_once_build_one_library(fast, monkeypatch, tmp_path):
    calls, compiler = tmp_path / "calls", tmp_path / "compiler"
    compiler.write_text(f'#!/bin/sh\necho "$@" >> {calls}\nexec {shutil.which("c++")} "$@"\n')
    compiler.chmod(0o700)
    monkeypatch.setenv("CXX", str(compiler))
    program = (
        "from regdrop.losses.kernels import build; build.FLAGS = (*build.FLAGS, '-O0'); "
        f"print(hasattr(build.library(), '{ENTRY}'))"
    )
    started = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate()[0].strip() for process in started] == ["True"] * 3
    assert len([line for line in calls.read_text().splitlines() if "-shared" in line]) == 1
    (path,) = libraries()
    assert ctypes.CDLL(str(path))


def test_a_folder_that_others_may_write_to_is_refused(fast):
    build.cache_folder().mkdir(parents=True)
    build.cache_folder().chmod(0o777)
    with pytest.raises(UnsupportedError, match="chmod 700"):
        build.library()


def test_a_cache_that_cannot_be_made_is_named(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("REGDROP_CACHE", str(tmp_path / "file"))
    with pytest.raises(UnsupportedError, match=r"file/native .*REGDROP_CACHE"):
        build.library()


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.delenv("REGDROP_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert build.cache_folder() == tmp_path / "regdrop" / "native"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert build.cache_folder() == tmp_path / ".cache" / "regdrop" / "native"
    monkeypatch.setenv("REGDROP_CACHE", str(tmp_path / "mine"))
    assert build.cache_folder() == tmp_path / "mine" / "native"


def test_without_a_compiler(fast, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(UnsupportedError, match="no C\\+\\+ compiler found"):
        build.library()


def test_the_chosen_compiler_comes_first_and_its_failure_is_told(fast, monkeypatch, tmp_path):
    compiler = tmp_path / "mycxx"
    compiler.write_text('#!/bin/sh\n[ "$1" = --version ] || { echo "native.cpp: error: sorry" >&2; exit 1; }\n')
    compiler.chmod(0o700)
    monkeypatch.setenv("CXX", str(compiler))
    with pytest.raises(UnsupportedError, match=r"mycxx could not build the native kernel: native\.cpp: error: sorry"):
        build.library()
    assert libraries() == []
