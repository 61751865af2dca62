"""Compiles cpp/native.cpp for this machine, once: the library is kept in the user's cache."""

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from regdrop.errors import UnsupportedError

SOURCES = Path(__file__).with_name("cpp")
FLAGS = ("-std=gnu++17", "-O3", "-march=native", "-fopenmp", "-fPIC", "-shared", "-Wno-psabi")
COMPILERS = ("g++", "clang++", "c++")
TIMEOUT_SECONDS = 300


def library() -> ctypes.CDLL:
    """Load the compiled kernel, building it where the cache holds none that is intact.

    Raises:
        UnsupportedError: there is no compiler, it failed, or the cache is not the user's alone; says which.
    """
    command = _compiler()
    folder = cache_folder()
    _refuse_strangers(folder)
    name = _fingerprint(command)
    path = _intact(folder, name)
    if path is None:
        with _alone(folder):
            path = _intact(folder, name) or _built(command, folder, name)
    return ctypes.CDLL(str(path))


def cache_folder() -> Path:
    """Where compiled kernels are kept: below REGDROP_CACHE, else XDG_CACHE_HOME/regdrop, else ~/.cache/regdrop."""
    chosen = os.environ.get("REGDROP_CACHE")
    base = Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "regdrop"
    return base / "native"


def _compiler() -> list[str]:
    for candidate in (os.environ.get("CXX", ""), *COMPILERS):
        command = shlex.split(candidate)
        if command and shutil.which(command[0]):
            return command
    raise UnsupportedError(f"no C++ compiler found (looked for $CXX, {', '.join(COMPILERS)}); install g++")


def _refuse_strangers(folder: Path) -> None:
    """Code is loaded from this folder: nobody else may write there."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except OSError as error:
        raise UnsupportedError(
            f"cannot make {folder} ({error.strerror}); set REGDROP_CACHE to a folder of yours"
        ) from error
    if status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise UnsupportedError(f"other users can write to {folder}; run: chmod 700 {folder}, or set REGDROP_CACHE")


def _fingerprint(command: list[str]) -> str:
    """Changes with all that decides what is built: sources, flags, compiler and processor."""
    version = _run([*command, "--version"])
    sources = (text for path in sorted(SOURCES.iterdir()) for text in (path.name, path.read_text()))
    parts = (*sources, *FLAGS, *command, version, platform.machine(), _processor())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _processor() -> str:
    """Model and features, on which `-march=native` depends."""
    listing = Path("/proc/cpuinfo")
    if not listing.exists():
        return platform.processor()
    lines = listing.read_text().split("\n\n", 1)[0].splitlines()
    return "\n".join(line for line in lines if line.startswith(("model", "flags", "Features", "CPU", "isa")))


def _intact(folder: Path, name: str) -> Path | None:
    """The library in the cache; a damaged one is removed."""
    for path in folder.glob(f"{name}-*.so"):
        if _is_intact(path):
            return path
        path.unlink(missing_ok=True)
    return None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process build while those that start with it wait: a compiler takes 300 MB and ten seconds."""
    import fcntl  # not on Windows, where nothing is built

    opened = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


def _is_intact(path: Path) -> bool:
    try:
        return path.stat().st_uid == os.getuid() and path.stem.endswith(_digest(path))
    except FileNotFoundError:  # another process found it damaged first
        return False


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:32]


def _built(command: list[str], folder: Path, name: str) -> Path:
    """Compile beside the final place and rename, so that others see a whole library or none."""
    with tempfile.TemporaryDirectory(dir=folder) as beside:
        fresh = Path(beside) / "native.so"
        _run([*command, *FLAGS, str(SOURCES / "native.cpp"), "-o", str(fresh)])
        with fresh.open("rb") as file:
            os.fsync(file.fileno())
        return fresh.replace(folder / f"{name}-{_digest(fresh)}.so")


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnsupportedError(f"{shlex.join(command)} did not run: {error}") from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines()[-1:] or [""]
        raise UnsupportedError(f"{command[0]} could not build the native kernel: {lines[0].strip()}")
    return done.stdout
