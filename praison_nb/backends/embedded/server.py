"""The process that serves one GGUF file by HTTP. It is run as a script, and imports nothing of praison_nb.

On stdin it gets one line of JSON, {"path", "name", "api_key"}; when its address is open it writes
"listening on http://127.0.0.1:PORT" to stdout. It ends as soon as the process that started it does.
"""

from __future__ import annotations

import json
import math
import os
import sys
import threading
import time
from pathlib import Path

CONTEXT_TOKENS = 8192
"""What one conversation may hold, unless the model was trained for less."""

SLOTS = 2
"""How many answers are written at once; further requests wait for one to end."""


def _end_with_parent(parent: int) -> None:
    """End when the parent process is gone, since a fork of it may hold our stdin open for ever."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


def _end_with_stdin() -> None:
    """The same, at once; but while the model is being loaded neither has its turn, and it ends after that."""
    sys.stdin.buffer.read()
    os._exit(0)


def _cpus() -> int:
    """The CPUs that this process may use: threads beyond a container's quota would spin in vain."""
    cpus = os.cpu_count() or 1
    try:
        cpus = len(os.sched_getaffinity(0))
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        cpus = min(cpus, math.ceil(int(quota) / int(period)))
    except (AttributeError, OSError, ValueError):  # another system, another cgroup version, quota "max"
        pass
    return cpus


def main() -> None:
    parent = os.getppid()
    settings = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_stdin, daemon=True).start()

    # Threads wait for each other by spinning, for milliseconds: on a busy machine in place of the one that is
    # waited for, which trebled the time. libgomp reads this when it is loaded.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = settings["path"]
    params.model_alias = {settings["name"]}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [settings["api_key"]]
    params.cors_origins = ""
    params.ui = False
    params.endpoint_slots = False
    params.verbosity = 1
    # Each slot has a cache of its own: in a shared one, some long conversations at once would end each other.
    params.n_parallel = SLOTS
    params.n_ctx = SLOTS * CONTEXT_TOKENS
    params.cache_ram_mib = 256
    # At each token all threads wait for the slowest, so one that has to share its CPU holds them all up:
    # half of the CPUs stay free for the kernel and others. The tokens of two answers at once are a batch.
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = max(1, _cpus() // 2)
    try:
        server = xllamacpp.Server(params)
    except RuntimeError as error:
        sys.exit(f"{error}")  # what was wrong stands above it
    sys.stdout.write(f"\nlistening on {server.listening_address}\n")
    sys.stdout.flush()
    _end_with_parent(parent)


if __name__ == "__main__":
    main()
