"""Kernels that begin at once: forked from a process that has imported what they import (fork_server.py)."""

from __future__ import annotations

import functools
import json
import os
import select
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.local_provisioner import LocalProvisioner


@functools.cache
def fork_server() -> subprocess.Popen[str]:
    """The process that forks, one for all kernels; it ends when this process does."""
    script = Path(__file__).with_name("fork_server.py")
    return subprocess.Popen(
        [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )


class ForkedProcess:
    """What is asked of a subprocess.Popen, of a process that is no child of this one."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._end = os.pidfd_open(pid)

    def poll(self) -> int | None:
        return 0 if select.select([self._end], [], [], 0)[0] else None

    def wait(self) -> int:
        select.select([self._end], [], [])
        return 0

    def __del__(self) -> None:
        os.close(self._end)

    def send_signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)


class ForkingProvisioner(LocalProvisioner):
    """Has each kernel forked instead of started."""

    async def launch_kernel(
        self, cmd: list[str], *, env: dict[str, str], **kwargs: Any
    ) -> KernelConnectionInfo:
        server = fork_server()
        print(json.dumps([cmd, kwargs.get("cwd") or os.getcwd(), env]), file=server.stdin)
        self.process = ForkedProcess(int(server.stdout.readline()))
        # It leads a group of its own.
        self.pid = self.pgid = self.process.pid
        return self.connection_info
