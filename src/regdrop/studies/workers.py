"""Several processes that settle the same jobs; those that are killed are replaced."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from typing import Any

import torch

from regdrop.errors import RDropError, StoppedError
from regdrop.studies.jobs import Job, Outcome

Settled = tuple[int, Outcome]
Settle = Callable[[Sequence[Job], float, bool], Iterator[Settled]]
SPAWN = get_context("spawn")  # a forked process cannot use an accelerator that its parent has used
MOST_DEATHS = 10  # a worker, without any run settled in between


def share(settle: Settle, jobs: Sequence[Job], asked: float, workers: int) -> Iterator[Settled]:
    """Have several processes settle the jobs.

    Each goes through all jobs, makes those that nobody holds, and tells what it made or found. A worker that is killed
    is replaced; all of them end with this process.

    Args:
        settle: what each runs; see `regdrop.studies.runner.settle`.
        jobs: all jobs.
        asked: when the study was asked for.
        workers: how many processes.

    Yields:
        The place of each job and its outcome, once, as they come.

    Raises:
        RDropError: they keep dying without settling anything.
        Exception: whatever a worker raised.
    """
    running = dict(_start(settle, jobs, asked, workers) for _ in range(min(workers, len(jobs))))
    pending, deaths = set(range(len(jobs))), 0
    try:
        while pending:
            receiver: Any = wait(list(running))[0]
            settled = _receive(receiver)
            if settled is None:
                deaths += 1
                _check(deaths, workers, running.pop(receiver))
                running.update([_start(settle, jobs, asked, workers)])
            elif settled[0] in pending:
                deaths = 0
                pending.remove(settled[0])
                yield settled
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.join()


def _start(settle: Settle, jobs: Sequence[Job], asked: float, workers: int) -> tuple[Any, SpawnProcess]:
    receiver, sender = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=_work, args=(sender, settle, jobs, asked, workers), daemon=True)
    process.start()
    sender.close()  # so that the worker's death ends the pipe
    return receiver, process


def _receive(receiver: Any) -> Settled | None:
    """The next message of a worker; None where it is dead. What it raised is raised."""
    try:
        message = receiver.recv()
    except (EOFError, OSError):
        return None
    if isinstance(message, BaseException):
        raise message
    settled: Settled = message
    return settled


def _check(deaths: int, workers: int, dead: SpawnProcess) -> None:
    dead.join()
    if deaths > MOST_DEATHS * workers:
        raise RDropError(
            f"worker processes died {deaths} times in a row, the last with exit code {dead.exitcode}; "
            "pass --workers 1 to see why"
        )


def _work(sender: Any, settle: Settle, jobs: Sequence[Job], asked: float, workers: int) -> None:
    """The life of a worker: settle what can be settled, tell each outcome, or what went wrong."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(max(1, torch.get_num_threads() // workers))
    try:
        for settled in settle(jobs, asked, False):
            sender.send(settled)
    except (KeyboardInterrupt, StoppedError):
        os._exit(1)
    except Exception as error:
        sender.send(error)


def _end_with_parent() -> None:
    """A worker whose parent was killed would go on unseen."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
