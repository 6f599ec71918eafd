"""What a user would have instead: cells of other packages, each in an environment of its own (build/peers),
with the same questions to the same server, in turns. Another table: a line a figure, a column a package."""

from __future__ import annotations

import os
import subprocess
import venv
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from harness import ROOT, Measured, MeasuredKernel, Servers, in_turns, median, medians, servers, show

CHUNKS, LATE = 5_000, 300
SDK = """
import os
from openai import OpenAI
client = OpenAI()
for chunk in client.chat.completions.create(
    model="gpt-4o-mini", messages=[{"role": "user", "content": "PROMPT"}], stream=True
):
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=FLUSH)
"""
CHATLAS = """
import os
from chatlas import ChatOpenAICompletions
chat = ChatOpenAICompletions(
    model="gpt-4o-mini", base_url=os.environ["OPENAI_BASE_URL"], api_key=os.environ["OPENAI_API_KEY"])
_ = chat.chat("PROMPT")
"""
LLM = """
import os
from llm.default_plugins.openai_models import Chat
model = Chat("gpt-4o-mini", api_base=os.environ["OPENAI_BASE_URL"], key=os.environ["OPENAI_API_KEY"])
for piece in model.prompt("PROMPT", key=os.environ["OPENAI_API_KEY"]):
    print(piece, end="", flush=True)
"""


@dataclass(frozen=True)
class Peer:
    """A package, none of which is praison_nb as it is here, and the cell that asks by it."""

    name: str
    packages: tuple[str, ...]
    cell: str


PEERS = (
    Peer("%%agent, live", (), "%%agent --new\nPROMPT"),
    Peer("%%agent, plain", (), "%%agent --new\nPROMPT"),
    Peer("openai, print", ("openai",), SDK.replace("FLUSH", "False")),
    Peer("openai, print(flush=True)", ("openai",), SDK.replace("FLUSH", "True")),
    Peer("chatlas", ("chatlas", "openai"), CHATLAS),
    Peer("llm", ("llm",), LLM),
)


def table() -> Iterator[str]:
    """The lines of the table."""
    problems: dict[str, str] = {}
    with servers() as where, ExitStack() as stack:
        kernels: dict[str, MeasuredKernel] = {}
        for peer in PEERS:
            try:
                kernels[peer.name] = stack.enter_context(_kernel(peer, where))
                kernels[peer.name].do(peer.cell.replace("PROMPT", "1 chunks"))
            except (subprocess.CalledProcessError, AssertionError) as error:
                lines = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
                problems[peer.name] = f"cannot be run: {lines[-1] if lines else error}"
                kernels.pop(peer.name, None)
        kernels[PEERS[0].name].announce()
        names = [peer.name for peer in PEERS]
        yield f"| | {' | '.join(names)} |"
        yield f"|---|{'---|' * len(names)}"
        yield _line(
            "version", {peer.name: _version(peer) for peer in PEERS if peer.name in kernels} | problems
        )
        yield from _first_turns(where, set(kernels))
        yield from _figures(kernels)


def _figures(kernels: dict[str, MeasuredKernel]) -> Iterator[str]:
    cells = {peer.name: peer.cell for peer in PEERS}

    def ask(prompt: str) -> dict[str, Measured]:
        def measure(name: str) -> Measured:
            return kernels[name].measure(cells[name].replace("PROMPT", prompt))

        return medians({name: lambda name=name: measure(name) for name in kernels})

    for after in (0, LATE):
        found = ask(f"5 chunks after {after} ms")
        beyond = {name: show(each.first * 1e3 - after, "ms") for name, each in found.items()}
        yield _line(f"first text beyond the server's {after} ms", beyond)
    idle = {name: show(each.idle * 1e3, "ms") for name, each in ask("1 chunks").items()}
    yield _line("cell of one chunk, from being sent to idle", idle)
    found = ask(f"{CHUNKS} chunks")
    long = f"cell of {CHUNKS:,} chunks"
    yield _line(f"{long}, CPU of the kernel", {name: show(each.cpu, "s") for name, each in found.items()})
    yield _line(f"{long}, to idle", {name: show(each.idle, "s") for name, each in found.items()})
    yield _line(f"{long}, IOPub messages", {name: show(each.messages, "") for name, each in found.items()})
    yield _line(f"{long}, IOPub", {name: show(each.size / 1000, "kB") for name, each in found.items()})


def _first_turns(where: Servers, names: set[str]) -> Iterator[str]:
    """The first text of fresh kernels, imports and all; a kernel has no page yet, so both views are one."""

    def measure(peer: Peer) -> Measured:
        with _kernel(peer, where) as kernel:
            return kernel.measure(peer.cell.replace("PROMPT", "5 chunks"))

    peers = [peer for peer in PEERS if peer.name in names]
    found = in_turns({peer.name: lambda peer=peer: measure(peer) for peer in peers}, rounds=3, warm_up=0)
    first = {name: show(median(each).first * 1e3, "ms") for name, each in found.items()}
    yield _line("first text of a fresh kernel's first cell", first)


def _line(what: str, figures: dict[str, str]) -> str:
    return f"| {what} | {' | '.join(figures.get(peer.name, '') for peer in PEERS)} |"


def _kernel(peer: Peer, where: Servers) -> MeasuredKernel:
    python = str(_python(peer.packages)) if peer.packages else ""
    return MeasuredKernel(where.env, load=not peer.packages, python=python)


def _python(packages: tuple[str, ...]) -> Path:
    """The Python of an environment with these packages, made where it is not."""
    folder = ROOT / "build" / "peers" / packages[0]
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (folder / "made").exists():
        venv.create(folder, with_pip=True, clear=True)
        command = [python, "-m", "pip", "install", "--quiet", *packages, "ipykernel", "ipywidgets"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        (folder / "made").touch()
    return python


def _version(peer: Peer) -> str:
    if not peer.packages:
        return "this one"
    code = "import sys\nfrom importlib.metadata import version\nprint(*map(version, sys.argv[1:]))"
    command = [_python(peer.packages), "-c", code, peer.packages[0]]
    return f"{peer.packages[0]} {subprocess.run(command, stdout=subprocess.PIPE, text=True).stdout.strip()}"
