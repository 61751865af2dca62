"""Two runs never write into one folder: the lock on it."""

import os
import socket
from pathlib import Path

from filelock import FileLock, Timeout

from regdrop.checkpoints.atomic import atomic_path
from regdrop.errors import BusyError

LOCK, OWNER = "run.lock", "run.owner"


class FolderLock:
    """The operating system's lock on `run.lock` in a folder: it ends with its process, however that ends.

    On a folder that machines share, their file system must carry locks between them, as NFS 4 and Lustre do.

    Args:
        folder: to be held; it must exist once the lock is taken.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     lock, other = FolderLock(Path(folder)), FolderLock(Path(folder))
        ...     lock.acquire()
        ...     try:
        ...         other.acquire()
        ...     except BusyError as error:
        ...         print("process" in str(error))
        ...     lock.release()
        ...     other.acquire()
        ...     other.release()
        True
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = FileLock(folder / LOCK)
        # A file of its own: whoever fails to take the lock may empty the lock's.
        self.owner = folder / OWNER

    def acquire(self) -> None:
        """Hold the folder; nothing happens where this object holds it already.

        Raises:
            BusyError: another process, or another object of this one, holds it.
            OSError: the lock's file cannot be made.
        """
        if self._lock.is_locked:
            return
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            raise BusyError(f"{self._folder} is held by {self._holder()}; wait for it, or pass another --out") from None
        with atomic_path(self.owner) as beside:
            beside.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")

    def release(self) -> None:
        """Leave the folder to others; nothing happens where it is not held."""
        if self._lock.is_locked:
            self.owner.unlink(missing_ok=True)
            self._lock.release()

    def _holder(self) -> str:
        try:
            return self.owner.read_text(encoding="utf-8", errors="replace")[:120]
        except OSError:
            return "another process"


def is_first_process() -> bool:
    """Whether this is the one of several processes of a run (torchrun) that writes for all."""
    return os.environ.get("RANK", "0") == "0"
