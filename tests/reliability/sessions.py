"""`regdrop` in real processes that can be killed: each is forked from one that has imported everything, to be cheap."""

import os
import socket
import sys
import time
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path

CONTEXT = get_context("forkserver")
# Installed packages only: the forking process looks for modules where the interpreter does, not where pytest does.
PRELOADED = ["datasets", "matplotlib.figure", "regdrop.reports.run", "regdrop.tasks.vision", "regdrop.training.run"]
PRELOADED += ["regdrop.training.memory", "sklearn.datasets", "torch.utils.tensorboard"]
CONTEXT.set_forkserver_preload(PRELOADED)


def session(words, log, environment, memory):
    """The life of a process: one command, its output in a file, its exit code that of the command."""
    import torch

    from regdrop.cli import main

    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.environ.update(environment)
    for name in PRELOADED:  # the forking process may be one that another test began, without them
        import_module(name)
    if memory:
        limit_memory(memory)
    torch.set_num_threads(1)
    code = main(words)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def start(words, log, processes=1, memory=0, **environment):
    """The processes of one command, joined by gloo where several; each may take `memory` bytes more than it has."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(processes)}
    started = []
    for rank in range(processes):
        own = shared | {"RANK": str(rank), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(processes)}
        arguments = ([*map(str, words)], log, environment | (own if processes > 1 else {}), memory)
        started.append(CONTEXT.Process(target=session, args=arguments, daemon=True))
        started[-1].start()
    return started


def limit_memory(more):
    """Let this process take so many bytes more than it has."""
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + more,) * 2)


def finish(group, patience=300):
    """Their exit codes, once all have ended."""
    for process in group:
        process.join(patience)
    codes = [process.exitcode for process in group]
    for process in group:
        process.kill()
    return codes


def kill(group):
    """SIGKILL to all of them."""
    for process in group:
        process.kill()
    for process in group:
        process.join()


def until(condition, group, patience=300):
    """Wait for a condition while the processes live."""
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        assert any(process.is_alive() for process in group), "the processes ended before it happened"
        time.sleep(0.01)
