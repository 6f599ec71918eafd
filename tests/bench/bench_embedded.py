"""The embedded model's time for a token, beside the maker's SDK at the server of the library that runs it,
with that library's own settings."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import openai
from harness import Missing, Row, in_turns

from praison_nb import LocalAgent, LocalAgentConfig
from praison_nb.backends.embedded.fetch import SMOLLM2, fetch
from praison_nb.errors import PraisonError

TOKENS = 128
PROMPT = "Write a long story about a lighthouse."
OPTIONS = {"max_tokens": TOKENS, "seed": 1, "temperature": 0.0}
SERVER = """
import sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.port, params.verbosity = sys.argv[1], 0, 1
server = xllamacpp.Server(params)
print("\\nlistening on " + server.listening_address, flush=True)
sys.stdin.read()
"""


def rows() -> Iterator[Row | Missing]:
    work = "token of the embedded model"
    try:
        path = asyncio.run(_model())
    except PraisonError as error:
        yield Missing(work, str(error))
        return
    agent = LocalAgent(LocalAgentConfig(model="embedded", options=OPTIONS))
    with _bare_server(path) as url, openai.OpenAI(base_url=f"{url}/v1", api_key="k") as client:
        found = in_turns({"bare": lambda: _bare(client), "ours": lambda: _ours(agent)})
    bare, ours = (statistics.median(found[who]) * 1e3 for who in ("bare", "ours"))
    # Its own server takes all CPUs, and on a busy machine many times as long as ours.
    note = f"{1e3 / ours:.0f} a second, on half of the CPUs"
    yield Row(work, "ms", ours, bare, "xllamacpp's own server and the SDK", note=note)


async def _model() -> Path:
    async for step in fetch(SMOLLM2):
        if isinstance(step, Path):
            return step
    raise AssertionError("fetch() ends with the file")


@contextmanager
def _bare_server(path: Path) -> Iterator[str]:
    command = [sys.executable, "-c", SERVER, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, **pipes) as process:  # type: ignore[call-overload]
        yield next(line.split()[-1] for line in process.stdout if line.startswith("listening on "))
        process.stdin.close()


def _bare(client: openai.OpenAI) -> float:
    """Seconds a token."""
    begun, count = time.perf_counter(), 0
    stream = client.chat.completions.create(
        model="m",
        messages=[{"role": "user", "content": PROMPT}],
        stream=True,
        stream_options={"include_usage": True},
        **OPTIONS,
    )
    for chunk in stream:
        count = chunk.usage.completion_tokens if chunk.usage else count
    return (time.perf_counter() - begun) / count


def _ours(agent: LocalAgent) -> float:
    agent.reset_session()
    begun = time.perf_counter()
    turn = agent.begin(PROMPT).wait()
    return (time.perf_counter() - begun) / turn.usage.output_tokens
