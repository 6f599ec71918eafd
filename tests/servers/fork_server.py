"""A process that has imported what kernels import, and forks one, or what a script would be, for each message
that it reads.

Its standard input is a socket that listens: all workers of a test run, and their Jupyter servers, share
one. A message is JSON of [command line, folder, environment], and comes with the new process's standard
files; its process ID is written back. Whoever hangs up leaves no processes behind, and when the first one
does, this process ends. The package under test is among the imports: those that are started import it anew.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import sys
import types
from contextlib import suppress

MODULES = (
    "IPython.core.completerlib",
    "IPython.extensions.storemagic",
    "anthropic.resources.beta",
    "anyio._backends._asyncio",
    "anywidget",
    "genai_prices.data",
    "httpcore2",
    "httpx2",
    "ipykernel.debugger",
    "ipykernel.ipkernel",
    "ipykernel.kernelapp",
    "ipywidgets",
    "markdown_it",
    "openai.lib.streaming.chat",
    "openai.resources.responses",
    "pandas.io.formats.style",
    "pyarrow.pandas_compat",
)
SCRIPTS = ("__main__", "server")


def main() -> None:
    os.environ["JPY_PARENT_PID"] = str(os.getpid())  # the kernels end when this process does
    # A fork has no threads but the one that forks.
    os.environ.update(OPENBLAS_NUM_THREADS="1", JE_ARROW_MALLOC_CONF="background_thread:false")
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"  # no line about frozen modules
    del sys.path[0]
    package = importlib.import_module("praison_nb")
    own = [each.name for each in pkgutil.walk_packages(package.__path__, "praison_nb.")]
    for name in (*MODULES, *(name for name in own if not name.endswith(SCRIPTS))):
        with suppress(ImportError):
            importlib.import_module(name)
    assert len(os.listdir("/proc/self/task")) == 1
    gc.freeze()  # no collection of a kernel goes through what is imported here
    signal.signal(signal.SIGCHLD, reap)
    serve(socket.socket(fileno=0))


kernels: dict[int, socket.socket] = {}
"""Who asked for those that run, scripts too, by their process ID."""


def serve(listener: socket.socket) -> None:
    clients: list[socket.socket] = []
    while True:
        for ready in select.select([listener, *clients], [], [])[0]:
            if ready is listener:
                clients.append(listener.accept()[0])
                continue
            message, files, *_ = socket.recv_fds(ready, 1_000_000, 3)
            if not message:
                leave_none_of(ready)
                if ready is clients[0]:
                    return
                clients.remove(ready)
                ready.close()
                continue
            pid = os.fork()
            if pid == 0:
                for each in (*clients, listener):
                    each.close()
                for number, file in enumerate(files):
                    os.dup2(file, number)
                    os.close(file)
                run(*json.loads(message))
                sys.exit()
            for file in files:
                os.close(file)
            kernels[pid] = ready
            ready.sendall(b"%d\n" % pid)


def leave_none_of(client: socket.socket) -> None:
    for pid in [pid for pid, each in kernels.items() if each is client]:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def reap(*_: object) -> None:
    """Forget the kernels that have ended."""
    with suppress(ChildProcessError):
        while pid := os.waitpid(-1, os.WNOHANG)[0]:
            kernels.pop(pid, None)


def run(command: list[str], folder: str, environment: dict[str, str]) -> None:
    """Be what this command line would start: a kernel, or `python -c`."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    if command[1] == "-c":
        sys.argv = command[1:2] + command[3:]
        sys.modules["__main__"] = script = types.ModuleType("__main__")
        exec(command[2], vars(script))
        return
    sys.argv = command[command.index("-m") + 1 :]
    from ipykernel.kernelapp import IPKernelApp

    IPKernelApp.launch_instance(sys.argv[1:])


if __name__ == "__main__":
    main()
