"""The package indexes of the Debian archive that apt is set up for, fetched into a folder of their own."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from regdrop.errors import DataError
from regdrop.tasks.sources.cache import cache_folder

APT_HELPER = "/usr/lib/apt/apt-helper"
# Lists and caches of its own, and none of the hooks of the system's apt: nothing outside of {folder} is touched.
CONFIG = """\
#clear APT::Update;
APT::Sandbox::User "root";
#clear Acquire::Languages;
Acquire::Languages "en";
Dir::State::lists "{folder}/lists";
Dir::Cache "{folder}/cache";
"""
SECONDS = 900
MAX_LINE = 1 << 20
Result = TypeVar("Result")


def fetch_indexes(use: Callable[[Iterator[str], Iterator[str]], Result]) -> Result:
    """Fetch the indexes of the archive's main section and use their lines, before they are removed again.

    Args:
        use: `(lines of the Packages files, lines of the Translation-en files) -> result`.

    Raises:
        DataError: there is no apt here, or it cannot reach its servers; says what to pass instead.
    """
    if shutil.which("apt-get") is None or not Path(APT_HELPER).is_file():
        raise _unreachable("there is no apt on this machine")
    with TemporaryDirectory(prefix="regdrop-apt-") as folder:
        said = _update(Path(folder))
        lists = Path(folder) / "lists"
        packages = sorted(lists.glob("*_main_binary-*_Packages*"))
        translations = sorted(lists.glob("*_main_i18n_Translation-en*"))
        if not packages or not translations:
            raise _unreachable(said.splitlines()[-1] if said else "apt fetched nothing")
        return use(_lines(packages), _lines(translations))


def _update(folder: Path) -> str:
    """Fetch into a folder; returns what apt says on standard error."""
    config = folder / "apt.conf"
    config.write_text(CONFIG.format(folder=folder), encoding="utf-8")
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    command = ["apt-get", "-c", str(config), "update"]
    try:
        done = subprocess.run(  # noqa: S603
            command, check=False, capture_output=True, encoding="utf-8", errors="replace", timeout=SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _unreachable(str(error)) from error
    return done.stderr.strip()


def _lines(files: list[Path]) -> Iterator[str]:
    """Lines of index files, unpacked by apt whatever their compression."""
    command = [APT_HELPER, "cat-file", *map(str, files)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8", errors="replace") as process:  # noqa: S603
        while process.stdout and (line := process.stdout.readline(MAX_LINE)):
            yield line
        if process.wait():
            raise _unreachable(f"apt-helper cannot read {files[0].name}")


def _unreachable(reason: str) -> DataError:
    return DataError(
        f"Debian's descriptions cannot be fetched with apt ({reason}); on a Debian machine with network "
        f"`regdrop train debian_synopsis_seq2seq` leaves them in {cache_folder()}: copy that file here and pass it as "
        "--data.path FILE"
    )
