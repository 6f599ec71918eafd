"""`praison_nb.map` beside a bare semaphore loop over the openai SDK: wall, CPU, memory, and the books.

    PYTHONPATH=. .venv/bin/python tests/bench/bench_map.py [rows] [distinct] [--profile | --memory]

Both ask the same questions of a server in its own process, with 64 at once and 300 ms an answer. The server
is busy: 10 % of the questions meet a 429, 2 % a 500, 1 % of the answers are garbage. Each runs in a process
of its own, so that CPU seconds are its own. `--memory` asks what a distinct row adds to the peak of maps of
1,000, 10,000 and 50,000 rows, of which 3 in 10 are distinct.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import multiprocessing
import os
import random
import resource
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Literal

sys.path.insert(0, str(Path(__file__).parents[1]))

from servers.rows import MODEL, Manners, RowServer

Label = Literal["good", "bad"]
CONCURRENCY = 64
PROMPT = "Label the text as good or bad: {text}"


def texts(rows: int, distinct: int) -> list[str]:
    """The rows' texts."""
    return [f"This is the review number {row * 7 % distinct}, of a thing." for row in range(rows)]


def serve(pipe: Any, seconds: float) -> None:
    """A server's process: it says where it is, and at the end what its books have."""
    with RowServer(Manners(0.10, 0.02, 0.01, seconds=seconds)) as server:
        pipe.send(server.url)
        pipe.recv()
        books = server.books
        once = all(count == 1 for count in books.accepted.values())
        pipe.send((len(books.accepted), once, books.requests, float(books.cost), books.most_at_once))


async def bare(url: str, prompts: list[str]) -> int:
    """The loop that anybody would write."""
    import openai

    client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0)
    semaphore, answers = asyncio.Semaphore(CONCURRENCY), {}
    schema = {
        "type": "object",
        "properties": {"value": {"enum": ["good", "bad"]}},
        "required": ["value"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}

    async def ask(prompt: str) -> None:
        async with semaphore:
            for attempt in range(8):
                try:
                    made = await client.chat.completions.create(
                        model=MODEL,
                        messages=[{"role": "user", "content": prompt}],
                        response_format=form,  # type: ignore[call-overload]
                    )
                    answers[prompt] = json.loads(made.choices[0].message.content)["value"]
                    return
                except openai.RateLimitError as error:
                    await asyncio.sleep(float(error.response.headers["retry-after"]))
                except openai.APIStatusError:
                    await asyncio.sleep(0.5 * 2**attempt * random.uniform(0.75, 1))
                except ValueError:
                    pass

    await asyncio.gather(*map(ask, dict.fromkeys(prompts)))
    return len(answers)


def run(what: str, rows: int, distinct: int, seconds: float, pipe: Any, *, profiled: bool = False) -> None:
    """A process that asks all questions, and sends what it took."""
    here, there = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(there, seconds))
    server.start()
    url = here.recv()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PRAISON_NB_LEDGER"] = str(Path(folder, "ledger.sqlite"))
        if what == "bare":
            importlib.import_module("openai")

            prompts = [PROMPT.format(text=each) for each in texts(rows, distinct)]
            began, cpu = time.perf_counter(), time.process_time()
            answered = asyncio.run(bare(url, prompts))
            mine = None
        else:
            import pandas as pd

            import praison_nb
            from praison_nb import LocalAgent, LocalAgentConfig

            config = LocalAgentConfig(
                model=MODEL, base_url=f"{url}/v1", provider="openai", wire="chat", api_key="k"
            )
            frame = pd.DataFrame({"text": texts(rows, distinct)})
            # Imports, clients, prices: once for a kernel.
            praison_nb.map(["warm"], "{value}", agent=praison_nb.ScriptedBackend([]))
            importlib.import_module("openai")

            profile = _profiled() if profiled else None
            began, cpu = time.perf_counter(), time.process_time()
            made = praison_nb.map(
                frame, PROMPT, agent=LocalAgent(config), output=Label, concurrency=CONCURRENCY
            )
            answered = int((made["_status"] == "done").sum())
            mine = float(made["_cost"].sum())
            if profile:
                profile()
        took = time.perf_counter() - began, time.process_time() - cpu
        if what != "bare":
            ledger = praison_nb.usage(by="request")
            mine = mine, float(ledger["cost"].sum()), len(ledger)
    here.send(None)
    books = here.recv()
    server.join()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    pipe.send((*took, memory, answered, mine, books))


def _profiled() -> Any:
    """Profile the background loop's thread; what is returned prints it."""
    import cProfile
    import pstats

    from praison_nb.runtime import loop

    profile, done = cProfile.Profile(), threading.Event()
    loop.get().call_soon_threadsafe(profile.enable)

    def end() -> None:
        loop.get().call_soon_threadsafe(lambda: (profile.disable(), done.set()))
        done.wait()
        stats = pstats.Stats(profile)
        stats.sort_stats("cumulative").print_stats("praison_nb", 45)
        stats.sort_stats("tottime").print_stats(35)

    return end


def memory_of(rows: int, distinct: int) -> float:
    """MB at the peak of a map whose answers come at once."""
    here, there = multiprocessing.get_context("spawn").Pipe()
    arguments = ("map", rows, distinct, 0.0, there)
    process = multiprocessing.get_context("spawn").Process(target=run, args=arguments)
    process.start()
    memory: float = here.recv()[2]
    process.join()
    return memory


def print_memory() -> None:
    """The peaks, and what a distinct row adds to the one before."""
    before, was = 0, 0.0
    for rows in (1_000, 10_000, 50_000):
        distinct = rows * 3 // 10
        memory = memory_of(rows, distinct)
        more = f", {(memory - was) * 2**20 / (distinct - before):,.0f} bytes a distinct row" if before else ""
        print(f"map   {rows:6,} rows  {distinct:6,} distinct  {memory:5.0f} MB{more}")
        before, was = distinct, memory


def main() -> None:
    """Run both, twice in turns, and print."""
    if "--memory" in sys.argv:
        print_memory()
        return
    numbers = [int(each) for each in sys.argv[1:] if each.isdigit()]
    rows, distinct = numbers[:2] or (10_000, 3_000)
    context = multiprocessing.get_context("spawn")
    kinds = ("map",) if "--profile" in sys.argv else ("bare", "map", "bare", "map")
    for what in kinds:
        here, there = context.Pipe()
        options = {"profiled": "--profile" in sys.argv}
        process = context.Process(target=run, args=(what, rows, distinct, 0.3, there), kwargs=options)
        process.start()
        wall, cpu, memory, answered, mine, books = here.recv()
        process.join()
        accepted, once, requests, cost, at_once = books
        print(f"{what:5} wall {wall:6.1f} s  CPU {cpu:6.1f} s  {memory:5.0f} MB  {answered:,} answers")
        print(
            f"      books: {accepted:,} accepted ({'once' if once else 'some twice'}), {requests:,} requests,"
            f" ${cost:.6f}, {at_once} at once" + (f"; ours {mine}" if mine else "")
        )


if __name__ == "__main__":
    main()
