"""`%%agent` beside a bare loop over the maker's SDK, on the same loopback server, in one kernel, by turns and
on each wire: time to the first token, and throughput of an answer of 5,000 chunks.

    python tests/bench/bench_turn.py
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from servers import messages, openai, responses
from servers.kernel import Kernel

ROUNDS = 5
CHUNKS = 5000
TEXT = "abcd" * CHUNKS


@dataclass(frozen=True)
class Wire:
    """`stream` and `piece` are the SDK's way: what is iterated over, and the text of an `event` of it."""

    server: Callable[[], Any]
    reply: Callable[..., list[Any]]
    sdk: str
    stream: str
    piece: str
    provider: str


WIRES = {
    "chat": Wire(
        openai.OpenAIServer,
        openai.reply,
        "openai.AsyncOpenAI",
        'client.chat.completions.create(model="m", messages=messages, stream=True, '
        'stream_options={"include_usage": True})',
        "event.choices and event.choices[0].delta.content",
        "openai",
    ),
    "responses": Wire(
        responses.ResponsesServer,
        responses.reply,
        "openai.AsyncOpenAI",
        'client.responses.create(model="m", input=messages, stream=True, store=False)',
        'event.type == "response.output_text.delta" and event.delta',
        "openai",
    ),
    "messages": Wire(
        messages.MessagesServer,
        messages.reply,
        "anthropic.AsyncAnthropic",
        'client.messages.create(model="m", max_tokens=9999, messages=messages, stream=True)',
        'event.type == "content_block_delta" and event.delta.type == "text_delta" and event.delta.text',
        "anthropic",
    ),
}
SETUP = """
import time
import anthropic, openai
from praison_nb import LocalAgent, LocalAgentConfig

client = {sdk}(base_url={sdk_url!r}, api_key="test-key", max_retries=0)
messages = [{{"role": "user", "content": "Hi"}}]

async def bare():
    start, first, n = time.perf_counter(), None, 0
    async for event in await {stream}:
        if text := {piece}:
            first = first or time.perf_counter() - start
            n += len(text)
            print(text, end="")
    return first, time.perf_counter() - start, n

mine = LocalAgent(LocalAgentConfig(
    model="m", wire={wire!r}, provider={provider!r}, base_url={base_url!r}, api_key="test-key"))
"""
OURS = "%%agent -b mine --new -o turn\nHi"
READ = "print('RESULT', turn.first_text - turn.started, turn.seconds, len(turn.text))"
BARE = "result = await bare()"
READ_BARE = "print('RESULT', *result)"


def measured(kernel: Kernel, name: str, wire: Wire) -> dict[str, list[tuple[float, float]]]:
    """Seconds to the first token and to the last, for each round."""
    results: dict[str, list[tuple[float, float]]] = {"bare": [], "ours": []}
    with wire.server() as server:
        # Anthropic's SDK has the version in its paths.
        sdk_url = server.url if name == "messages" else server.base_url
        setup = SETUP.format(
            sdk=wire.sdk,
            sdk_url=sdk_url,
            stream=wire.stream,
            piece=wire.piece,
            wire=name,
            provider=wire.provider,
            base_url=server.base_url,
        )
        assert kernel.run(setup).ok
        for round_ in range(ROUNDS + 1):
            for who, code, read in (("bare", BARE, READ_BARE), ("ours", OURS, READ)):
                server.script(wire.reply(TEXT, size=4))
                assert kernel.run(code).ok
                first, total, length = kernel.run(read).text.split("RESULT")[1].split()
                assert int(length) == len(TEXT)
                if round_:  # the first round warms up
                    results[who].append((float(first), float(total)))
    return results


def main() -> None:
    with Kernel(start=True) as kernel:
        for name, wire in WIRES.items():
            results = measured(kernel, name, wire)
            for index, what in enumerate(["first token", f"whole answer of {CHUNKS:,} chunks"]):
                bare, ours = (
                    statistics.median(times[index] for times in results[who]) for who in ("bare", "ours")
                )
                sys.stdout.write(
                    f"{name}: {what}: bare SDK {bare * 1000:.1f} ms, %%agent {ours * 1000:.1f} ms, "
                    f"ratio {ours / bare:.2f}\n"
                )


if __name__ == "__main__":
    main()
