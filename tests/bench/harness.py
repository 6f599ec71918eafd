"""What benches share: a kernel whose cells are measured from outside, servers, taking turns, a table.

A bench is a module with `rows()`, which yields the rows of its subject. It is run with files of its own
(`own_files`), which `PRAISON_NB_LEDGER` leads to. Of everything that is compared each
round measures both, one after the other, and the medians of the rounds are what counts.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

sys.path.insert(0, str(Path(__file__).parents[1]))

import psutil

from servers.kernel import PATIENCE, Kernel

T = TypeVar("T")
BENCH = Path(__file__).parent
ROOT = BENCH.parents[1]
ROUNDS = 5
MARK = b"zqxj"
"""What an answer begins with (bench_server.py)."""


@dataclass(frozen=True)
class Row:
    """One line of the table, in `unit`: ours, and of what is `beside` it; the goal is at `most` so much, or a
    `share` of what is beside it. `note` has other figures of ours, such as those of a second time."""

    work: str
    unit: str
    ours: float
    bare: float | None = None
    beside: str = ""
    most: float | None = None
    share: float | None = None
    note: str = ""

    @property
    def cells(self) -> tuple[str, ...]:
        ratio = f"{self.ours / self.bare:.2f}" if self.bare else ""
        goal = f"≤ {show(self.most, self.unit)}" if self.most is not None else ""
        goal = f"≤ {self.share:.1f} ×" if self.share is not None else goal
        limit = self.share * self.bare if self.share is not None and self.bare else self.most
        if goal:
            goal += " ✓" if limit is not None and self.ours <= limit else " ✗"
        note = f" ({self.note})" if self.note else ""
        beside = "" if self.bare is None else f"{show(self.bare, self.unit)}, {self.beside}"
        return self.work, show(self.ours, self.unit) + note, beside, ratio, goal


@dataclass(frozen=True)
class Missing:
    """A line whose figure could not be had, and why."""

    work: str
    reason: str

    @property
    def cells(self) -> tuple[str, ...]:
        return self.work, self.reason, "", "", ""


def show(value: float, unit: str) -> str:
    """A figure as the table has it.

    >>> show(1234.5, "kB"), show(0.123, "ms"), show(22, "")
    ('1,234 kB', '0.12 ms', '22')
    """
    digits = 0 if abs(value) >= 100 or not unit else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f} {unit}".rstrip()


@dataclass(frozen=True)
class Measured:
    """What a cell took, from when it was sent: seconds until the answer's first text was on IOPub (nan: it
    never was) and until the kernel was idle; CPU seconds of the kernel; messages and bytes on IOPub."""

    first: float
    idle: float
    cpu: float
    messages: float
    size: float


def median(measured: Sequence[Measured]) -> Measured:
    """Of each figure the median."""
    names = [each.name for each in fields(Measured)]
    return Measured(*(statistics.median(getattr(each, name) for each in measured) for name in names))


def in_turns(ways: dict[str, Callable[[], T]], rounds: int = ROUNDS, warm_up: int = 1) -> dict[str, list[T]]:
    """What each way returns in each round, in which they take turns; the first `warm_up` do not count."""
    found: dict[str, list[T]] = {name: [] for name in ways}
    for round_ in range(-warm_up, rounds):
        for name, way in ways.items():
            result = way()
            if round_ >= 0:
                found[name].append(result)
    return found


def by_figure(found: Mapping[str, Sequence[Sequence[float]]]) -> list[dict[str, float]]:
    """Of ways that return several figures each, the medians: of the first figure by way, of the second, …"""
    figures = range(len(next(iter(found.values()))[0]))
    return [
        {name: statistics.median(each[n] for each in rounds) for name, rounds in found.items()}
        for n in figures
    ]


def medians(ways: dict[str, Callable[[], Measured]], rounds: int = ROUNDS) -> dict[str, Measured]:
    """`in_turns`, and the medians of each."""
    return {name: median(each) for name, each in in_turns(ways, rounds).items()}


class MeasuredKernel(Kernel):
    """A kernel whose cells are measured from outside; by default started as Jupyter starts it."""

    def __init__(self, env: dict[str, str] | None = None, start: bool = True, **options: Any) -> None:
        super().__init__(env={"PYTHONPATH": str(ROOT), **(env or {})}, start=start, **options)

    @cached_property
    def process(self) -> psutil.Process:
        return psutil.Process(self.manager.provisioner.pid)

    def cpu(self) -> float:
        """Seconds of CPU that the kernel's process has used."""
        if sys.platform == "linux":
            # The clock of another process, exact where /proc counts ticks of 10 ms.
            return time.clock_gettime((~self.process.pid << 3) | 2)
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def do(self, code: str) -> str:
        """Run a cell that is not measured, and give what it shows."""
        cell = self.run(code)
        assert cell.ok, cell.error
        return cell.text

    def measure(self, code: str, quiet: float = 0.0) -> Measured:
        """Run a cell. What comes after it counts too, until nothing has come for `quiet` seconds."""
        socket, session = self.client.iopub_channel.socket, self.client.session
        while socket.poll(0):
            socket.recv_multipart()
        first, idle, messages, size = float("nan"), 0.0, 0, 0
        cpu, start = self.cpu(), time.perf_counter()
        msg_id = self.client.execute(code)
        while socket.poll((quiet if idle else PATIENCE) * 1000):
            frames = socket.recv_multipart()
            now = time.perf_counter()
            messages, size = messages + 1, size + sum(map(len, frames))
            if first != first and any(MARK in frame for frame in frames):
                first = now - start
            # Most messages are not looked into: the harness has to keep up with them.
            if b'"status"' not in frames[3] and b'"error"' not in frames[3]:
                continue
            message = session.deserialize(session.feed_identities(frames)[1])
            assert message["msg_type"] != "error", "\n".join(message["content"]["traceback"])
            is_own = message["parent_header"].get("msg_id") == msg_id
            if is_own and message["content"].get("execution_state") == "idle":
                self.client.get_shell_msg(timeout=PATIENCE)
                idle = now - start
                if not quiet:
                    break
        assert idle, f"it never ended: {code}"
        return Measured(first, idle, self.cpu() - cpu, messages, size)

    def announce(self) -> None:
        """Do as a page of JupyterLab with the extension does."""
        content = {"comm_id": "praison-nb", "target_name": "praison-nb", "data": {"version": 1}}
        self.client.shell_channel.send(self.client.session.msg("comm_open", content))

    def syncs(self, code: str) -> int:
        """How often the kernel has the disk written while it runs a cell, by strace. Raises Unavailable."""
        strace = shutil.which("strace")
        if strace is None:
            raise Unavailable("not counted: strace is missing (apt install strace)")
        calls = ["-e", "trace=fsync,fdatasync", "-p", str(self.process.pid)]
        with subprocess.Popen([strace, "-f", *calls], stderr=subprocess.PIPE, text=True) as tracer:
            assert tracer.stderr is not None
            line = tracer.stderr.readline()
            if "attached" not in line:
                raise Unavailable(f"not counted: {line.strip()}")
            self.do(code)
            tracer.send_signal(signal.SIGINT)
            return sum("sync(" in each for each in tracer.stderr)


class Unavailable(Exception):
    """Something that a bench needs is not there; the text says what to do."""


@dataclass(frozen=True)
class Servers:
    """Where the servers of a bench answer, and what a kernel needs in its environment to find them."""

    models: str
    hosted: str
    key: str

    @property
    def env(self) -> dict[str, str]:
        return {"OPENAI_BASE_URL": f"{self.models}/v1", "OPENAI_API_KEY": "sk-bench"}


@contextmanager
def servers() -> Iterator[Servers]:
    """The servers, in a process of their own."""
    command = [sys.executable, str(BENCH / "bench_server.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        yield Servers(**json.loads(process.stdout.readline()))
        process.stdin.close()


@contextmanager
def own_files() -> Iterator[Path]:
    """A folder in which this process and its kernels have their ledger and sessions, and no key of the
    user's."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        for name in list(os.environ):
            if name.startswith(("PRAISON_NB_", "OPENAI_", "ANTHROPIC_", "OLLAMA_", "JPY_")):
                del os.environ[name]
        os.environ["PRAISON_NB_LEDGER"] = f"{folder}/ledger.sqlite"
        os.environ["PRAISON_NB_PRICES"] = f"{folder}/prices.json"
        os.environ["XDG_STATE_HOME"] = f"{folder}/state"
        try:
            yield Path(folder)
        finally:
            os.environ.clear()
            os.environ.update(before)


def own_process(code: str, *arguments: object) -> Any:
    """What a fresh Python prints as JSON, which runs the code with these arguments."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(BENCH), str(BENCH.parent)])}
    return json.loads(subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True).stdout)
