"""A real kernel, driven as a notebook drives it.

with Kernel(env={"OPENAI_BASE_URL": server.base_url}) as kernel:
    cell = kernel.run("%load_ext praison_nb")
    assert cell.ok
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty
from typing import Any, Self

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from servers.forked import ForkingProvisioner

PATIENCE = 60.0
"""Seconds after which a condition that never came true fails the test."""


@dataclass
class Cell:
    """One executed cell: its reply, and its outputs as a notebook would keep them."""

    msg_id: str
    reply: dict[str, Any] = field(default_factory=dict)
    outputs: list[dict[str, Any]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return bool(self.reply["status"] == "ok")

    @property
    def error(self) -> str:
        """The traceback as shown, "" without an error."""
        return "\n".join("\n".join(o["traceback"]) for o in self.outputs if o["type"] == "error")

    @property
    def text(self) -> str:
        """All that the cell shows, as plain text."""
        parts, before = list[str](), ""
        for output in self.outputs:
            text = output.get("text") or output.get("data", {}).get("text/plain", "")
            stream = output.get("name", "") if output["type"] == "stream" else ""
            # What is printed at once may come in pieces.
            if stream and stream == before:
                parts[-1] += text
            else:
                parts.append(text)
            before = stream
        return "\n".join([*parts, self.error])

    @property
    def answers(self) -> list[str]:
        """The answers that the cell shows, as text."""
        data = [o.get("data", {}) for o in self.outputs]
        return [each["text/plain"] for each in data if 'class="pnb-answer ' in each.get("text/html", "")]

    def of(self, mime: str) -> list[str]:
        """What outputs have of this kind, in order."""
        return [o["data"][mime] for o in self.outputs if mime in o.get("data", {})]


class Kernel:
    """An ipykernel in a process of its own, ended at the end. It is forked from one that has imported what is
    not under test; with `start`, it is started as Jupyter starts it, and imports everything itself, or by the
    `python` of another environment."""

    def __init__(
        self, env: dict[str, str] | None = None, load: bool = True, start: bool = False, python: str = ""
    ) -> None:
        # None of them speaks TLS: the certificates of a folder are read when they are needed, those of a file
        # at once, by each kernel.
        self._env = {**os.environ, "SSL_CERT_DIR": "/etc/ssl/certs", **(env or {})}
        self._env.pop("SSL_CERT_FILE", None)
        self._load = load
        self._python = python or sys.executable
        self._start = start or bool(python) or not hasattr(os, "pidfd_open")
        self._by_display: dict[str, dict[str, Any]] = {}
        self._cells: dict[str, Cell] = {}

    def __enter__(self) -> Self:
        # Sockets in a folder of their own: by default they lie in the working one, where others have theirs.
        self._sockets = tempfile.TemporaryDirectory(prefix="k")
        where = {"transport": "ipc", "ip": f"{self._sockets.name}/s"} if os.name == "posix" else {}
        self.manager = KernelManager(kernel_name="python3", **where)
        self.manager.kernel_spec.argv[0] = self._python
        if not self._start:
            spec = self.manager.kernel_spec
            self.manager.provisioner = ForkingProvisioner(kernel_spec=spec, parent=self.manager)
        self.manager.start_kernel(env=self._env)
        self._connect()
        return self

    def __exit__(self, *exc: object) -> None:
        self.client.stop_channels()
        self.end()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()
        self._sockets.cleanup()

    def _connect(self) -> None:
        self.client: BlockingKernelClient = self.manager.blocking_client()
        self.client.start_channels()
        self._wait_until_heard()
        if self._load:
            assert self.run("%load_ext praison_nb").ok

    def _wait_until_heard(self) -> None:
        """What a kernel sends before it knows of a listener is lost."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            self.client.kernel_info()
            with suppress(Empty):
                self.client.get_iopub_msg(timeout=0.2)
                return
        raise AssertionError("the kernel never began")

    def end(self) -> None:
        """End the kernel as its machine would, and wait until it has ended."""
        process = self.manager.provisioner.process
        if process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.manager.provisioner.pgid, signal.SIGKILL)
            process.wait()

    def restart(self) -> None:
        """A new kernel in the old one's place."""
        self.client.stop_channels()
        self.manager.restart_kernel(now=True)
        self._connect()

    def run(self, code: str) -> Cell:
        """Execute a cell to its end."""
        return self.finish(self.begin(code))

    def begin(self, code: str) -> Cell:
        """Execute a cell and return at once."""
        cell = Cell(self.client.execute(code, stop_on_error=True))
        self._cells[cell.msg_id] = cell
        return cell

    def finish(self, cell: Cell) -> Cell:
        """Read until the cell has ended."""
        self.read_until(lambda: bool(cell.reply))
        return cell

    def read_until(self, predicate: Any) -> None:
        """Take what the kernel sends until the predicate is true."""
        deadline = time.monotonic() + PATIENCE
        while not predicate():
            assert time.monotonic() < deadline, "it never came true"
            self._take(self.client.get_iopub_msg(timeout=PATIENCE))

    def question(self) -> str:
        """Wait for what the kernel asks by `input()`, and give its words; `client.input(answer)` answers."""
        return str(self.client.get_stdin_msg(timeout=PATIENCE)["content"]["prompt"])

    def interrupt(self) -> None:
        self.manager.interrupt_kernel()

    def _take(self, message: dict[str, Any]) -> None:
        content, kind = message["content"], message["msg_type"]
        cell = self._cells.get(message["parent_header"].get("msg_id", ""))
        if cell is not None:
            cell.messages.append(message)
        display = content.get("transient", {}).get("display_id", "")
        if kind == "update_display_data":
            # A front end updates by display id, whichever cell it came from.
            self._by_display[display].update(data=content["data"])
        elif cell is not None and kind in ("display_data", "execute_result"):
            output = {"type": kind, "data": content["data"]}
            cell.outputs.append(output)
            if display:
                self._by_display[display] = output
        elif cell is not None and kind in ("stream", "error"):
            cell.outputs.append({"type": kind, **content})
        elif cell is not None and kind == "status" and content["execution_state"] == "idle":
            cell.reply = self._reply(cell)

    def _reply(self, cell: Cell) -> dict[str, Any]:
        """The cell's own reply: a kernel that was slow to begin answers once more whether it is there."""
        while True:
            reply = self.client.get_shell_msg(timeout=PATIENCE)
            if reply["parent_header"].get("msg_id") == cell.msg_id:
                return dict(reply["content"])
