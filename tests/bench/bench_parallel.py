"""256 turns at once in one cell, beside as many calls of the maker's SDK: how long all take, and how long the
cell's own loop, on which the user's code runs, waits at most meanwhile."""

from __future__ import annotations

import json
from collections.abc import Iterator

from harness import MeasuredKernel, Row, by_figure, in_turns, servers

TURNS = 256
CHUNKS, EVERY = 30, 100
IDEAL = CHUNKS * EVERY / 1000
SETUP = f"""
import asyncio, json, time
from openai import AsyncOpenAI
from praison_nb import Agent, LocalAgent, LocalAgentConfig

PROMPT = "{CHUNKS} chunks every {EVERY} ms"
client = AsyncOpenAI()
agents = [Agent(f"a{{n}}", LocalAgent(LocalAgentConfig(model="gpt-4o-mini"))) for n in range({TURNS})]

async def bare(n):
    stream = await client.chat.completions.create(
        model="gpt-4o-mini", messages=[{{"role": "user", "content": PROMPT}}], stream=True)
    return len("".join([c.choices[0].delta.content or "" async for c in stream if c.choices]))

async def ours(n):
    agents[n].backend.reset_session()
    return len(await agents[n].astart(PROMPT))

async def together(ask):
    longest, over = 0, False

    async def beat():
        nonlocal longest
        while not over:
            begun = time.perf_counter()
            await asyncio.sleep(0.005)
            longest = max(longest, time.perf_counter() - begun - 0.005)

    beating = asyncio.create_task(beat())
    begun = time.perf_counter()
    answers = await asyncio.gather(*(ask(n) for n in range({TURNS})))
    wall, over = time.perf_counter() - begun, True
    await beating
    assert set(answers) == {{4 * {CHUNKS}}}
    print(json.dumps([wall, longest]))
"""


def rows() -> Iterator[Row]:
    with servers() as where, MeasuredKernel(where.env) as kernel:
        kernel.do(SETUP)

        def together(who: str) -> tuple[float, float, float]:
            cpu = kernel.cpu()
            wall, longest = json.loads(kernel.do(f"await together({who})"))
            return wall, longest, kernel.cpu() - cpu

        found = in_turns({who: lambda who=who: together(who) for who in ("bare", "ours")})
    wall, longest, cpu = by_figure(found)
    work, beside = f"{TURNS} turns at once of {IDEAL:.0f} s each", "gather over the SDK"
    note = f"CPU {cpu['ours']:.1f} s, the SDK's {cpu['bare']:.1f} s"
    yield Row(work, "s", wall["ours"], wall["bare"], beside, share=1.0, note=note)
    work = "the same, longest wait of the cell's own loop"
    yield Row(work, "ms", longest["ours"] * 1e3, longest["bare"] * 1e3, beside, most=50)
