"""A process that has imported what kernels import, and forks one for each line that it reads.

A line is JSON of [command line, folder, environment]; the process ID of the new kernel is written back. The
package under test is among the imports: those that are started import it anew.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import signal
import sys
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
    del sys.path[0]
    package = importlib.import_module("praison_nb")
    own = [each.name for each in pkgutil.walk_packages(package.__path__, "praison_nb.")]
    for name in (*MODULES, *(name for name in own if not name.endswith(SCRIPTS))):
        with suppress(ImportError):
            importlib.import_module(name)
    assert len(os.listdir("/proc/self/task")) == 1
    gc.freeze()  # no collection of a kernel goes through what is imported here
    signal.signal(signal.SIGCHLD, reap)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            run(*json.loads(line))
            return
        print(pid, flush=True)


def reap(*_: object) -> None:
    """Forget the kernels that have ended."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def run(command: list[str], folder: str, environment: dict[str, str]) -> None:
    """Be the kernel that this command line would start."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    sys.argv = command[command.index("-m") + 1 :]
    from ipykernel.kernelapp import IPKernelApp

    IPKernelApp.launch_instance(sys.argv[1:])


if __name__ == "__main__":
    main()
