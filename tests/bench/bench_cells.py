"""A cell, from where the front end sends it to where IOPub shows its first text and its end: live, where the
page has the extension, and plain; beside cells that ask the maker's SDK and print."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import ledgers
from harness import Measured, MeasuredKernel, Missing, Row, Unavailable, medians, servers

CHUNKS = 5_000
SHORT_ROUNDS = 15
"""Of cells that take 20 ms: a machine with other work delays some of them by as much."""
LATE = 300
"""Milliseconds after which the server sends its first token, where it does not at once."""
SETUP = """
from openai import AsyncOpenAI
from praison_nb import LocalAgent, LocalAgentConfig
client = AsyncOpenAI()
mine = LocalAgent(LocalAgentConfig(model="gpt-4o-mini"))

async def bare(prompt, flush):
    stream = await client.chat.completions.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": prompt}], stream=True)
    async for chunk in stream:
        if chunk.choices:
            print(chunk.choices[0].delta.content or "", end="", flush=flush)
"""
VIEWS = ("live", "plain")


def rows() -> Iterator[Row | Missing]:
    with servers() as where, MeasuredKernel(where.env) as live, MeasuredKernel(where.env) as plain:
        kernels = {"live": live, "plain": plain}
        for kernel in kernels.values():
            kernel.do(SETUP)
        live.announce()
        yield from first_texts("", "--new", kernels)
        yield from first_texts(" with `-b`", "-b mine --new", kernels)
        yield from one_chunk(kernels)
        yield from many_chunks(kernels)
        ledgers.fill(Path(os.environ["PRAISON_NB_LEDGER"]), ledgers.SOME)
        plain.do("%agent price gpt-4o-mini --input 0.15 --output 0.60\n%agent budget 100000/day")
        yield from first_texts(
            f" under a day's budget, {ledgers.SOME:,} rows in the ledger", "--new", kernels
        )


def first_texts(how: str, options: str, kernels: dict[str, MeasuredKernel]) -> Iterator[Row]:
    """Milliseconds until the first text is visible, beyond those that the server takes for its first
    token."""
    for after in (0, LATE):
        ways = _ways(kernels, f"5 chunks after {after} ms", options, flush=True)
        measured = medians(ways, SHORT_ROUNDS)
        found = {name: (each.first - after / 1000) * 1e3 for name, each in measured.items()}
        for view in VIEWS:
            work = f"first text of a cell{how}, {view}, beyond the server's {after} ms"
            yield Row(work, "ms", found[view], found["bare"], "print(flush=True)", most=15)


def one_chunk(kernels: dict[str, MeasuredKernel]) -> Iterator[Row | Missing]:
    """A cell whose answer is one chunk: until the kernel is idle, and what is written to the disk."""
    found = medians(_ways(kernels, "1 chunks", "--new", flush=False), SHORT_ROUNDS)
    for view in VIEWS:
        each = found[view]
        note = f"{each.messages:.0f} messages, {each.size / 1000:.0f} kB"
        work = f"cell of one chunk, {view}, from being sent to idle"
        yield Row(work, "ms", each.idle * 1e3, found["bare"].idle * 1e3, "print", most=25, note=note)
    work = "the same, fdatasync"
    cells = ("%%agent\n1 chunks", "await bare('1 chunks', False)")
    try:
        ours, bare = map(kernels["plain"].syncs, cells)
        yield Row(work, "", ours, bare, "print: IPython's history", most=4)
    except Unavailable as error:
        yield Missing(work, str(error))


def many_chunks(kernels: dict[str, MeasuredKernel]) -> Iterator[Row]:
    """A long answer: CPU of the kernel, and what is sent to the page."""
    found = medians(_ways(kernels, f"{CHUNKS} chunks", "--new", flush=False))
    bare = found["bare"]
    for view in VIEWS:
        each, cell = found[view], f"cell of {CHUNKS:,} chunks, {view}"
        note, beside = f"{each.idle:.2f} s to idle", f"print ({bare.idle:.2f} s)"
        yield Row(f"{cell}, CPU of the kernel", "s", each.cpu, bare.cpu, beside, share=0.5, note=note)
        note, beside = f"{each.messages:.0f} messages", f"print ({bare.messages:.0f})"
        yield Row(f"{cell}, IOPub", "kB", each.size / 1000, bare.size / 1000, beside, note=note)


def _ways(
    kernels: dict[str, MeasuredKernel], prompt: str, options: str, *, flush: bool
) -> dict[str, Callable[[], Measured]]:
    cell = f"%%agent {options}\n{prompt}"
    ways = {"bare": lambda: kernels["plain"].measure(f"await bare({prompt!r}, {flush})")}
    return ways | {view: lambda view=view: kernels[view].measure(cell) for view in VIEWS}
