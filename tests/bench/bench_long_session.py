"""A conversation of a thousand turns, each of them run, beside a loop over the maker's SDK whose messages are
as many: what a request, a cell, a chat and a badge cost at its end, and what it leaves in memory."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from functools import partial

from harness import MARK, Measured, MeasuredKernel, Row, in_turns, median, medians, servers

TURNS, WIDGET_TURNS = 1_000, 600
CHUNKS = 2_000
PROMPT = "Some words of a question. " * 40
TRANSCRIPT_MB = TURNS * (len(PROMPT) + 20) / 1e6
BARE = """
from openai import AsyncOpenAI
client, messages = AsyncOpenAI(), []

async def bare(prompt, keep):
    history = messages if keep else []
    history.append({"role": "user", "content": prompt})
    text = ""
    stream = await client.chat.completions.create(model="gpt-4o-mini", messages=history, stream=True)
    async for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            text += chunk.choices[0].delta.content
            print(chunk.choices[0].delta.content, end="", flush=True)
    history.append({"role": "assistant", "content": text})
"""
CHAT = "chat = praison_nb.chat('long')\nchat"
SEND = """
import asyncio, uuid
sent = conversation.runs[-1]
chat._on_message({"kind": "send", "id": uuid.uuid4().hex, "text": "1 chunks"})
while conversation.runs[-1] is sent or conversation.runs[-1].turn.ended is None:
    await asyncio.sleep(0.01)
"""
ALIVE = "from ipywidgets.widgets import widget\nprint(len(widget._instances))"
QUIET = 1.5
"""Seconds after which nothing comes any more of a chat's turn: what is saved of it comes a little later."""


def rows() -> Iterator[Row]:
    with servers() as where, MeasuredKernel(where.env) as bare, MeasuredKernel(where.env) as kernel:
        bare.do(BARE)
        turn = [{"role": "user", "content": PROMPT}, {"role": "assistant", "content": MARK.decode()}]
        bare.do(f"messages.extend({turn} * {TURNS})")
        kernel.do("%config AgentMagics.live = 'widget'\nimport praison_nb")
        yield from _thousand_turns(kernel)
        kernel.do("%config AgentMagics.live = 'auto'")
        kernel.do(
            "from praison_nb.notebook import _loaded\n"
            "conversation = next(iter(_loaded.values())).conversations.find('long')"
        )
        yield from _cells(kernel, bare)
        yield from _chat(kernel)
        yield _badge(kernel)


def _ask(kernel: MeasuredKernel, prompt: str, options: str = "-s long") -> Measured:
    return kernel.measure(f"%%agent {options}\n{prompt}")


def _ask_bare(kernel: MeasuredKernel, prompt: str, keep: bool = True) -> Measured:
    return kernel.measure(f"await bare({prompt!r}, {keep})")


def _thousand_turns(kernel: MeasuredKernel) -> Iterator[Row]:
    prompt = f"{PROMPT}1 chunks"
    for _ in range(5):  # imports, clients, widgets
        _ask(kernel, prompt)
    before = kernel.process.memory_info().rss
    for turn in range(TURNS):
        _ask(kernel, prompt)
        if turn == WIDGET_TURNS:
            alive = float(kernel.do(ALIVE))
    grown = (kernel.process.memory_info().rss - before) / 1e6
    yield Row(f"widgets alive after {WIDGET_TURNS} turns", "", alive, most=2)
    work = f"memory that {TURNS:,} turns add, of which texts are {TRANSCRIPT_MB:.1f} MB"
    yield Row(work, "MB", grown, most=2 * TRANSCRIPT_MB)


def _cells(kernel: MeasuredKernel, bare: MeasuredKernel) -> Iterator[Row]:
    ways = {
        "ours": partial(_ask, kernel, "1 chunks"),
        "new": partial(_ask, kernel, "1 chunks", "--new -s new"),
        "bare": partial(_ask_bare, bare, "1 chunks"),
        "bare new": partial(_ask_bare, bare, "1 chunks", False),
    }
    found = medians(ways)
    cpu = {name: each.cpu * 1e3 for name, each in found.items()}
    work = f"CPU of a request after {TURNS:,} turns, beyond that of a first"
    yield Row(work, "ms", cpu["ours"] - cpu["new"], cpu["bare"] - cpu["bare new"], "the SDK", most=15)
    work = f"first text of a cell at turn {TURNS:,}"
    first = found["bare"].first * 1e3
    yield Row(f"{work}, plain", "ms", found["ours"].first * 1e3, first, "print(flush=True)", most=15)
    kernel.announce()
    live = median(in_turns({"live": ways["ours"]})["live"])
    yield Row(f"{work}, live", "ms", live.first * 1e3, first, "print(flush=True)", most=15)


def _chat(kernel: MeasuredKernel) -> Iterator[Row]:
    opened = kernel.measure(CHAT, QUIET)
    sent = median(in_turns({"sent": partial(kernel.measure, SEND, QUIET)}, rounds=3)["sent"])
    kernel.do("chat.close()")
    note = f"opening it {opened.size / 1000:,.0f} kB once"
    yield Row(f"chat() of {TURNS:,} turns, IOPub of a turn", "kB", sent.size / 1000, most=20, note=note)


def _badge(kernel: MeasuredKernel) -> Row:
    """A long answer with a badge open, less the same without."""

    def with_badges(count: int) -> float:
        kernel.do(f"badges = [praison_nb.StatusBadge(conversation.backend) for _ in range({count})]")
        cpu = _ask(kernel, f"{CHUNKS} chunks").cpu
        kernel.do("for each in badges: each.close()")
        return cpu

    found = in_turns({"with": partial(with_badges, 1), "without": partial(with_badges, 0)})
    cost = (statistics.median(found["with"]) - statistics.median(found["without"])) / CHUNKS * 1e3
    return Row(f"CPU of a StatusBadge an event, at turn {TURNS:,}", "ms", max(cost, 0.0), most=0.1)
