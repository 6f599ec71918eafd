"""Kernels and scripts that begin at once: forked from a process that has imported what they import
(fork_server.py).

with script("import praison_nb; print(praison_nb.__version__)") as process:
    version = process.stdout.readline()
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

ADDRESS = "PRAISON_NB_FORK_SERVER"
"""Where the one of this test run listens: whoever asks first starts it, and its children find it here."""


@functools.cache
def fork_server() -> socket.socket:
    """A connection to the process that forks. It ends when the process that started it does."""
    if ADDRESS not in os.environ:
        address = f"praison-nb-{uuid.uuid4().hex}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(f"\0{address}")
            listener.listen()
            command = [sys.executable, Path(__file__).with_name("fork_server.py")]
            atexit.register(_end, subprocess.Popen(command, stdin=listener))
        os.environ[ADDRESS] = address
    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    client.connect(f"\0{os.environ[ADDRESS]}")
    atexit.register(client.close)  # before the process is waited for
    return client


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        # A process that this one left behind has its connection.
        process.kill()
        process.wait()


class ForkedProcess:
    """What is asked of a subprocess.Popen, of a process that is no child of this one."""

    stdin: Any = None
    stdout: Any = None
    stderr = None

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._end = os.pidfd_open(pid)

    def poll(self) -> int | None:
        return 0 if wait([self._end], 0) else None

    def wait(self) -> int:
        wait([self._end])
        return 0

    def __del__(self) -> None:
        os.close(self._end)

    def send_signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._end, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def fork(
    command: list[str], folder: str, environment: Mapping[str, str], files: tuple[int, int, int]
) -> ForkedProcess:
    """What the command line would start, with these standard files."""
    server = fork_server()
    socket.send_fds(server, [json.dumps([command, folder, dict(environment)]).encode()], files)
    return ForkedProcess(int(server.recv(100)))


@contextmanager
def script(code: str, *arguments: str) -> Iterator[Any]:
    """A process that runs `code` as `python -c` would, with pipes for its input and its output; killed at the
    end, where it has not ended."""
    command, pipe = [sys.executable, "-c", code, *arguments], subprocess.PIPE
    if not hasattr(os, "pidfd_open"):
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as started:
            yield started
            started.kill()
        return
    (its_input, ours), (output, its_output) = os.pipe(), os.pipe()
    process = fork(command, os.getcwd(), os.environ, (its_input, its_output, 2))
    os.close(its_input)
    os.close(its_output)
    with open(ours, "w") as process.stdin, open(output) as process.stdout:
        try:
            yield process
        finally:
            process.kill()
            process.wait()


class ForkingProvisioner(LocalProvisioner):
    """Has each kernel forked instead of started."""

    async def launch_kernel(
        self, cmd: list[str], *, env: dict[str, str], **kwargs: Any
    ) -> KernelConnectionInfo:
        nothing = os.open(os.devnull, os.O_RDONLY)
        self.process = fork(cmd, kwargs.get("cwd") or os.getcwd(), env, (nothing, 2, 2))
        os.close(nothing)
        # It leads a group of its own.
        self.pid = self.pgid = self.process.pid
        return self.connection_info


class Forking:
    """A kernel manager's mixin: its kernel is forked."""

    async def _async_pre_start_kernel(self: Any, **kwargs: Any) -> tuple[list[str], dict[str, Any]]:
        if self.provisioner is None:
            self.provisioner = ForkingProvisioner(
                kernel_id=self.kernel_id, kernel_spec=self.kernel_spec, parent=self
            )
        return await super()._async_pre_start_kernel(**kwargs)  # type: ignore[misc]


class ForkingKernelManager(Forking, AsyncKernelManager):
    pass


NBCLIENT = {
    "kernel_name": "python3",
    "kernel_manager_class": ForkingKernelManager if hasattr(os, "pidfd_open") else AsyncKernelManager,
}
"""What NotebookClient takes to run a notebook in such a kernel."""
