"""`regdrop` in real processes that can be killed: each is forked from one that has imported everything, to be cheap."""

import os
import signal
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


def session(words, log, environment, memory, moment):
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
    if moment:
        sys.addaudithook(signaller(*moment))
    torch.set_num_threads(1)
    code = main(words)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def start(words, log, processes=1, memory=0, moment=(), **environment):
    """The processes of one command, joined by gloo where several.

    Args:
        words: of the command line.
        log: the file that gets what they print.
        processes: how many.
        memory: bytes that each may take more than it has; 0 does not limit it.
        moment: (what, name, signal): the moment at which the first signals itself; see `signaller`.
        environment: more of their environment.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(processes)}
    started = []
    for rank in range(processes):
        own = shared | {"RANK": str(rank), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(processes)}
        surroundings = environment | (own if processes > 1 else {})
        arguments = ([*map(str, words)], log, surroundings, memory, () if rank else moment)
        started.append(CONTEXT.Process(target=session, args=arguments, daemon=True))
        started[-1].start()
    return started


def limit_memory(more):
    """Let this process take so many bytes more than it has."""
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + more,) * 2)


def signaller(what, name, number):
    """An audit hook that signals its process once, when it begins to do something to a path that ends with a name.

    Args:
        what: Python's audit event, such as "os.rename".
        name: the end of the path.
        number: of the signal.
    """
    waiting = [number]

    def hook(event, arguments):
        if waiting and event == what and any(str(argument).endswith(name) for argument in arguments):
            os.kill(os.getpid(), waiting.pop())

    return hook


def halted(words, log, place, processes=1):
    """The processes of a command, the first of which stands still before it makes a folder; SIGCONT lets it go on."""
    group = start(words, log, processes, moment=("os.mkdir", place, signal.SIGSTOP))
    stands = Path(f"/proc/{group[0].pid}/stat")
    until(lambda: stands.read_text().rpartition(")")[2].split()[0] == "T", group)
    return group


def go_on(group):
    """Let a group that was halted go on; their exit codes, once all have ended."""
    os.kill(group[0].pid, signal.SIGCONT)
    return finish(group)


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
