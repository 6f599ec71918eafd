"""The servers that benches ask, in a process of their own, so that a kernel's CPU is the kernel's alone.

python tests/bench/bench_server.py         # writes their addresses, as a line of JSON; ends with its stdin

The prompt says what is answered: "5000 chunks", "5000 chunks after 300 ms", "30 chunks every 100 ms". Each
chunk has four characters and is a write of its own; the first is MARK, by which an answer is known in what a
kernel sends.
"""

from __future__ import annotations

import asyncio
import functools
import json
import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from aiohttp import web

from servers import messages, openai, responses
from servers.base import LoopbackServer
from servers.hosted import HostedServer, text

MARK = "zqxj"
_ASKED = re.compile(rb"(\d+) chunks?(?: after (\d+) ms)?(?: every (\d+) ms)?")
_DIGITS = 10
"""A number of chunks has no more."""
_REPLIES = {
    "chat/completions": openai.reply,
    "responses": responses.reply,
    "messages": messages.reply,
}


def asked(body: bytes) -> tuple[int, float, float]:
    """Chunks, seconds before the first, seconds between two: as the last prompt of a request says."""
    # The prompt is at the end, and a long conversation takes as long to look through as to answer.
    found = _ASKED.search(body, max(0, body.rfind(b" chunk") - _DIGITS))
    count, after, every = found.groups() if found else (b"1", b"", b"")
    return int(count), int(after or 0) / 1000, int(every or 0) / 1000


def pieces(count: int) -> list[str]:
    """The chunks of an answer: words, in paragraphs of a hundred chunks."""
    return [MARK, *("\n\n* " if n % 100 == 0 else f"{n % 1000:03d} " for n in range(1, count))]


@functools.cache
def body_of(wire: str, count: int) -> list[bytes]:
    """The answer as it is sent, a write each."""
    steps: list[Any] = _REPLIES[wire]("".join(pieces(count)), usage=(10, count), size=4)
    lines = [step if isinstance(step, bytes) else f"data: {json.dumps(step)}\n\n".encode() for step in steps]
    if wire == "chat/completions":
        return lines
    named = [b"event: " + step["type"].encode() + b"\n" if isinstance(step, dict) else b"" for step in steps]
    return [name + line for name, line in zip(named, lines, strict=True)]


class ModelServer(LoopbackServer):
    """Chat completions, Responses and Messages. It keeps nothing of what it is asked."""

    def routes(self, router: web.UrlDispatcher) -> None:
        for wire in _REPLIES:
            router.add_post(f"/v1/{wire}", functools.partial(self._answer, wire))

    async def _answer(self, wire: str, request: web.Request) -> web.StreamResponse:
        self.requests.clear()
        count, after, every = asked(await request.read())
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        response.enable_chunked_encoding()
        await asyncio.sleep(after)
        await response.prepare(request)
        for line in body_of(wire, count):
            await response.write(line)
            await asyncio.sleep(every)
        return response


def main() -> None:
    with ModelServer() as models, HostedServer() as hosted:
        hosted.default = lambda prompt: [text(pieces(asked(prompt.encode())[0]))]
        print(json.dumps({"models": models.url, "hosted": hosted.url, "key": hosted.api_key}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
