"""`%%agent` beside a bare loop over the openai SDK, on the same loopback server, in one kernel, by turns:
time to the first token, and throughput of an answer of 5,000 chunks.

    python tests/bench/bench_turn.py
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from servers.kernel import Kernel
from servers.openai import OpenAIServer, reply

ROUNDS = 5
CHUNKS = 5000
SETUP = """
import time
from openai import AsyncOpenAI
client = AsyncOpenAI()

async def bare():
    start, first, n = time.perf_counter(), None, 0
    stream = await client.chat.completions.create(
        model="scripted-1", messages=[{"role": "user", "content": "Hi"}], stream=True,
        stream_options={"include_usage": True})
    async for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            first = first or time.perf_counter() - start
            n += len(chunk.choices[0].delta.content)
            print(chunk.choices[0].delta.content, end="")
    return first, time.perf_counter() - start, n
"""
OURS = "%%agent --new -o turn\nHi"
READ = "print('RESULT', turn.first_text - turn.started, turn.seconds, len(turn.text))"
BARE = "result = await bare()"
READ_BARE = "print('RESULT', *result)"


def main() -> None:
    text = "abcd" * CHUNKS
    results: dict[str, list[tuple[float, float]]] = {"bare": [], "ours": []}
    with OpenAIServer() as server:
        environment = {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "test-key"}
        with Kernel(env=environment, start=True) as kernel:
            assert kernel.run(SETUP).ok
            for round_ in range(ROUNDS + 1):
                for name, code, read in (("bare", BARE, READ_BARE), ("ours", OURS, READ)):
                    server.script(reply(text, size=4))
                    assert kernel.run(code).ok
                    first, total, length = kernel.run(read).text.split("RESULT")[1].split()
                    assert int(length) == len(text)
                    if round_:  # the first round warms up
                        results[name].append((float(first), float(total)))
    for index, what in enumerate(["first token", f"whole answer of {CHUNKS:,} chunks"]):
        bare, ours = (statistics.median(r[index] for r in results[name]) for name in ("bare", "ours"))
        print(f"{what}: bare SDK {bare * 1000:.1f} ms, %%agent {ours * 1000:.1f} ms, ratio {ours / bare:.2f}")


if __name__ == "__main__":
    main()
