"""A small model in a process of its own on this machine: no key, no account, no network once it is fetched.

    async for step in start("embedded"):
        ...                     # Activity, Activity, …, and last an Endpoint that speaks OpenAI's API

One process serves a model to all sessions of the kernel. It ends when the kernel does, and a model that
crashes takes nothing of the user's with it. To fetch the model ahead of time, for an image:

    python -m praison_nb.backends.embedded
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from concurrent.futures import Future
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from ... import redaction
from ...errors import EmbeddedModelError
from ...events import Activity
from ...runtime import loop
from . import hub
from .fetch import EXTRA, SMOLLM2, fetch
from .server import CONTEXT_TOKENS

_ARTIFACTS: Final = {"embedded": SMOLLM2, "embedded/smollm2": SMOLLM2, "smollm2": SMOLLM2}
_SERVER: Final = Path(__file__).with_name("server.py")
_LISTENING: Final = "listening on "


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the model answers: `base_url` ends in "/v1"; the server takes no other key than `api_key`."""

    base_url: str
    api_key: str = field(repr=False)
    model: str
    context: int = CONTEXT_TOKENS
    """Tokens that one conversation may have at most; fewer, where the model was trained for less."""


class _Process:
    """The process that serves one model file, and its last output."""

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name
        self.owner = os.getpid()
        self.api_key = secrets.token_urlsafe(32)
        redaction.register(self.api_key, "the embedded model's key")
        self.address: Future[str] = Future()
        """"http://127.0.0.1:PORT" once it listens, "" when it ended before."""
        self.reason: Future[str] = Future()
        """Why it ended, once it has."""
        self.lines: deque[str] = deque(maxlen=50)
        # A session of its own: Jupyter interrupts a kernel's whole process group.
        self._popen = subprocess.Popen(
            [sys.executable, "-P", str(_SERVER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        settings = {"path": str(path), "name": name, "api_key": self.api_key}
        assert self._popen.stdin is not None
        with suppress(OSError):  # it ended at once; what it wrote is read below
            self._popen.stdin.write(json.dumps(settings).encode() + b"\n")
            self._popen.stdin.flush()
        threading.Thread(target=self._read, name=f"praison_nb {name}", daemon=True).start()

    @property
    def is_alive(self) -> bool:
        return self.owner == os.getpid() and not self.reason.done()

    def kill(self) -> None:
        self._popen.kill()

    def _read(self) -> None:
        assert self._popen.stdin is not None and self._popen.stdout is not None
        with self._popen.stdout as output:
            for raw in output:
                line = raw.decode(errors="replace").strip()
                if line.startswith(_LISTENING):
                    self.address.set_result(line.removeprefix(_LISTENING))
                elif line:
                    self.lines.append(line)
        code = self._popen.wait()
        with suppress(OSError):
            self._popen.stdin.close()
        self.reason.set_result(_exit_reason(code, self.lines))
        if not self.address.done():
            self.address.set_result("")


_processes: list[_Process] = []


async def start(model: str) -> AsyncGenerator[Activity | Endpoint, None]:
    """Activities until the model is ready, and last exactly one Endpoint.

    `model` is "embedded", "embedded/smollm2", "smollm2" (fetched on first use, 93 MB), "gguf:PATH" or
    "hf:OWNER/REPO[:QUANT]" (fetched on first use). Raises EmbeddedModelError. Stopped half-way it leaves
    nothing broken: the next call goes on from there.
    """
    if find_spec("xllamacpp") is None:
        raise EmbeddedModelError(f"The embedded model needs xllamacpp: {EXTRA}")
    if artifact := _ARTIFACTS.get(model):
        path = artifact.path
        async with aclosing(fetch(artifact)) as steps:
            async for step in steps:
                if isinstance(step, Activity):
                    yield step
        name = "smollm2"
    elif model.startswith("hf:"):
        async with aclosing(hub.fetch(model)) as steps:
            async for step in steps:
                if isinstance(step, Activity):
                    yield step
                else:
                    path = step
        name = path.stem
    else:
        path = _gguf(model)
        name = path.stem
    try:
        process = _process_of(path, name)
    except OSError as error:
        raise EmbeddedModelError(f"The model {path} cannot be started ({error.strerror}).") from error
    if not process.address.done():
        yield Activity(text="starting the model")
    address = await _result(process.address)
    if not address:
        why = _first_error(process.lines) or process.reason.result()
        raise EmbeddedModelError(f"The model {path} cannot be started ({why}).")
    yield Endpoint(f"{address}/v1", process.api_key, name)


async def exit_reason(base_url: str) -> str | None:
    """Why the process behind an Endpoint ended, such as "Killed"; None while it runs.

    Ask it when a stream broke: the end of a process shows in its sockets a moment before it shows elsewhere.
    """
    for process in _processes:
        if process.address.done() and f"{process.address.result()}/v1" == base_url:
            await asyncio.wait([_result(process.reason)], timeout=1)
            return process.reason.result() if process.reason.done() else None
    return None


async def stop_all() -> None:
    """End all processes of this kernel. The next `start` starts a new one."""
    ending = [process for process in _processes if process.owner == os.getpid()]
    _processes.clear()
    for process in ending:
        process.kill()
    await asyncio.gather(*(_result(process.reason) for process in ending))


loop.at_exit(stop_all)


def _process_of(path: Path, name: str) -> _Process:
    """The process for a model file; a new one where there is none, or where it ended."""
    for process in _processes:
        if process.path == path and process.is_alive:
            return process
    _processes.append(process := _Process(path, name))
    return process


def _result(future: Future[str]) -> asyncio.Future[str]:
    """What several may wait for: one that is cancelled leaves the others theirs."""
    return asyncio.shield(asyncio.wrap_future(future))


def _gguf(model: str) -> Path:
    prefix, _, name = model.partition(":")
    if prefix != "gguf" or not name:
        known = ", ".join(_ARTIFACTS)
        raise EmbeddedModelError(
            f"There is no embedded model {model!r}. There are {known}, gguf:PATH and hf:OWNER/REPO."
        )
    path = Path(name).expanduser().absolute()
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise EmbeddedModelError(f"The model {path} cannot be read: {error.strerror}.") from error
    if magic != b"GGUF":
        raise EmbeddedModelError(f"{path} is not a GGUF file.")
    return path


def _first_error(lines: Iterable[str]) -> str:
    """llama.cpp's first error, which is the cause of the others, without its time and origin; "" if none."""
    errors = [found[1] for line in lines if (found := re.match(r"[\d.]+ E +(?:\S+: )?(.+)", line))]
    return errors[0].rstrip(".") if errors else ""


def _exit_reason(code: int, lines: Iterable[str]) -> str:
    """How the process ended, and its last words where it ended by itself."""
    if code in (-9, -15):  # SIGKILL, SIGTERM: from outside
        lines = ()
    how = f"exit code {code}" if code >= 0 else signal.strsignal(-code) or f"signal {-code}"
    return ": ".join([how, *list(lines)[-1:]])
