"""`execute_command`: a program with its arguments, without a shell."""

from __future__ import annotations

import asyncio
import codecs
import os
import signal
from collections.abc import Callable
from typing import Any

from ...redaction import child_environment
from ..tool import ToolError
from .excerpt import Excerpt
from .folder import check_root
from .seconds import Seconds, limited

REST_SECONDS = 1.0
"""So long is waited for the end of the output of a program that has ended."""


def tool(root: str) -> Callable[..., Any]:
    """execute_command as a function for Tool.of."""

    async def execute_command(argv: list[str], timeout: Seconds = 60) -> str:
        """Run a program in the working directory, without a shell and without input. Returns its output and
        its exit code. When it ends, all that it started ends too.

        Args:
            argv: The program and its arguments, each by itself: ["git", "log", "-3"].
            timeout: Seconds after which it is ended.
        """
        return await execute(root, argv, limited(timeout))

    return execute_command


class _Output(asyncio.SubprocessProtocol):
    def __init__(self) -> None:
        self.excerpt = Excerpt()
        self.exited = asyncio.Event()
        self.closed = asyncio.Event()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.excerpt.add(self._decoder.decode(data))

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self.closed.set()

    def process_exited(self) -> None:
        self.exited.set()


async def execute(root: str, argv: list[str], seconds: float) -> str:
    """Run it to its end. Raises ToolError where it cannot start, fails, or takes longer than `seconds`."""
    if not argv or not argv[0]:
        raise ToolError("argv needs the program's name.")
    if any("\0" in part for part in argv):
        raise ToolError("An argument has no zero byte.")
    if os.name == "nt" and argv[0].lower().endswith((".bat", ".cmd")):
        # Windows would hand their arguments to its shell.
        raise ToolError("Batch files are not run.")
    check_root(root)
    try:
        transport, output = await asyncio.get_running_loop().subprocess_exec(
            _Output,
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=root,
            env=child_environment(os.environ),
            start_new_session=True,
        )
    except OSError as error:
        raise ToolError(f"{argv[0]!r:.200} could not be started: {error.strerror or error}.") from None
    is_late = False
    try:
        async with asyncio.timeout(seconds):
            await output.exited.wait()
    except TimeoutError:
        is_late = True
    finally:
        _end_group(transport)
        try:
            async with asyncio.timeout(REST_SECONDS):
                await output.exited.wait()
                # What it wrote last is still in the pipe.
                await output.closed.wait()
        except TimeoutError:
            pass
        finally:
            transport.close()
    code = transport.get_returncode()
    end = f"Ended after {seconds:g} s, its limit." if is_late else f"exit code {code}"
    text = f"{str(output.excerpt).rstrip()}\n{end}".lstrip("\n")
    if is_late or code != 0:
        raise ToolError(text, end)
    return text


def _end_group(transport: asyncio.SubprocessTransport) -> None:
    try:
        if hasattr(os, "killpg"):
            os.killpg(transport.get_pid(), signal.SIGKILL)
        else:
            transport.kill()
    except (ProcessLookupError, PermissionError):
        # It has ended already.
        pass
