"""The real model in its own process: shared, private, gone with the kernel, started again after a crash."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Literal

import openai
import psutil
import pydantic
import pytest

from praison_nb import LocalAgent, LocalAgentConfig
from praison_nb.backends import http_client
from praison_nb.backends.embedded.fetch import SMOLLM2, fetch
from praison_nb.backends.embedded.process import Endpoint, exit_reason, start, stop_all
from praison_nb.errors import EmbeddedModelError
from praison_nb.events import Activity
from praison_nb.runtime import loop
from servers import forked

ANOTHER_KERNEL = """
import asyncio, json, os, signal, sys
from praison_nb.runtime import loop
from praison_nb.backends.embedded import process as embedded

signal.signal(signal.SIGINT, lambda *_: None)

async def ready():
    async for step in embedded.start("embedded"):
        pass
    return step

end = asyncio.run_coroutine_threadsafe(ready(), loop.get()).result()
print(json.dumps([end.base_url, end.api_key]), flush=True)
for line in sys.stdin:
    match line.strip():
        case "exit":
            sys.exit()
        case "_exit":
            os._exit(3)
        case "ping":
            print("pong", flush=True)
        case "fork":
            if (sibling := os.fork()) == 0:
                asyncio.run(embedded.stop_all())
                print(os.getpid(), flush=True)
                while True:
                    signal.pause()
"""


@pytest.fixture(autouse=True, scope="module")
def no_process_left() -> Iterator[None]:
    yield
    asyncio.run(stop_all())
    assert servers() == []


def servers(of: int | None = None) -> list[psutil.Process]:
    """The model's processes that a process (this one) started and that run."""
    children = psutil.Process(of or os.getpid()).children()
    return [child for child in children if not ended(child) and "embedded/server.py" in str(child.cmdline())]


def ended(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


async def ready(model: str = "embedded") -> Endpoint:
    *activities, endpoint = [step async for step in start(model)]
    assert all(isinstance(step, Activity) for step in activities)
    assert isinstance(endpoint, Endpoint)
    return endpoint


async def refused(model: str) -> str:
    with pytest.raises(EmbeddedModelError) as caught:
        await ready(model)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@asynccontextmanager
async def stream(end: Endpoint, prompt: str = "Count from one to ninety.", **options: Any) -> Any:
    """A streamed completion, by the SDK: a few words, since each costs the processor."""
    async with openai.AsyncOpenAI(base_url=end.base_url, api_key=end.api_key, max_retries=0) as client:
        messages: Any = [{"role": "user", "content": prompt}]
        options = {"model": end.model, "temperature": 0, "max_tokens": 6, **options}
        chunks = await client.chat.completions.create(messages=messages, stream=True, **options)
        async with chunks:
            yield chunks


async def answer(end: Endpoint, prompt: str = "What is the capital of France?") -> str:
    async with stream(end, prompt) as chunks:
        return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks if chunk.choices])


@contextmanager
def another_kernel() -> Iterator[tuple[Any, Endpoint]]:
    with forked.script(ANOTHER_KERNEL) as kernel:
        base_url, api_key = json.loads(kernel.stdout.readline())
        yield kernel, Endpoint(base_url, api_key, "smollm2")


def tell(kernel: Any, word: str) -> None:
    kernel.stdin.write(f"{word}\n")
    kernel.stdin.flush()


async def test_it_answers() -> None:
    end = await ready()
    async with stream(
        end, "What is the capital of France?", stream_options={"include_usage": True}
    ) as chunks:
        got = [chunk async for chunk in chunks]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in got if chunk.choices)
    assert text.strip()
    assert sum(1 for chunk in got if chunk.choices) > 3
    assert got[-1].usage.completion_tokens > 3


def test_on_the_background_loop() -> None:
    end = asyncio.run_coroutine_threadsafe(ready("smollm2"), loop.get()).result(60)
    assert end.model == "smollm2"


async def test_one_process_for_all_sessions() -> None:
    await stop_all()
    ends = await asyncio.gather(ready("embedded"), ready("smollm2"), ready("embedded/smollm2"))
    assert len(set(ends)) == 1
    assert len(servers()) == 1


async def test_two_sessions_stream_at_once() -> None:
    end = await ready()
    async with asyncio.timeout(60), stream(end, max_tokens=4000) as first:
        await anext(first)
        async with stream(end, max_tokens=4000) as second:
            await anext(second)
            # Neither has ended, and neither waits for the other.
            for chunks in (first, second, first):
                assert (await anext(chunks)).choices[0].finish_reason is None


async def test_nobody_else_may_ask() -> None:
    end = await ready()
    with pytest.raises(openai.AuthenticationError):
        await answer(Endpoint(end.base_url, "wrong", end.model))
    (server,) = servers()
    assert end.api_key not in str(server.cmdline()) + str(server.environ()) + repr(end)
    assert {connection.laddr.ip for connection in server.net_connections()} == {"127.0.0.1"}


async def test_it_keeps_a_connection_for_longer_than_a_client_does_and_none_behind_a_stream() -> None:
    end = await ready()
    async with openai.AsyncOpenAI(base_url=end.base_url, api_key=end.api_key) as client:
        response = await client.models.with_raw_response.list()
    (seconds,) = re.findall(r"timeout=(\d+)", response.headers["keep-alive"])
    assert float(seconds) > http_client.IDLE_SECONDS
    assert response.headers["server"] == http_client.CLOSES_BEHIND_STREAMS


async def test_each_conversation_has_the_whole_context() -> None:
    end = await ready()
    with pytest.raises(openai.BadRequestError) as caught:
        await answer(end, "word " * 9000)
    assert "8192 tokens" in str(caught.value)  # what SmolLM2 was made for
    assert await answer(end)


@pytest.mark.parametrize(
    "way", ["kill", *(pytest.param(way, marks=pytest.mark.slow) for way in ("exit", "_exit"))]
)
def test_it_ends_with_the_kernel(way: str) -> None:
    with another_kernel() as (kernel, _):
        (server,) = servers(kernel.pid)
        if way == "kill":
            kernel.kill()
        else:
            tell(kernel, way)
        wait_until(lambda: ended(server))


async def test_a_fork_neither_ends_it_nor_keeps_it() -> None:
    with another_kernel() as (kernel, end):
        (server,) = servers(kernel.pid)
        tell(kernel, "fork")
        sibling = psutil.Process(int(kernel.stdout.readline()))
        try:
            assert await answer(end)
            kernel.kill()
            wait_until(lambda: ended(server))
            assert not ended(sibling)
        finally:
            sibling.kill()


async def test_an_interrupt_of_the_kernel_leaves_it_alone() -> None:
    with another_kernel() as (kernel, end):
        (server,) = servers(kernel.pid)
        os.killpg(kernel.pid, signal.SIGINT)
        tell(kernel, "ping")
        assert kernel.stdout.readline() == "pong\n"
        assert await answer(end)
        assert os.getpgid(server.pid) != os.getpgid(kernel.pid)


@pytest.mark.slow(reason="a turn that this happens to is in test_embedded.py")
async def test_killed_in_mid_stream() -> None:
    end = await ready()
    assert await exit_reason(end.base_url) is None
    (server,) = servers()
    with pytest.raises(openai.APIConnectionError):
        async with stream(end, max_tokens=4000) as chunks:
            await anext(chunks)
            server.kill()
            async for _ in chunks:
                pass
    assert await exit_reason(end.base_url) == "Killed"

    again = await ready()
    assert again.base_url != end.base_url and again.api_key != end.api_key
    assert await answer(again)
    assert await exit_reason(end.base_url) == "Killed"
    assert await exit_reason(again.base_url) is None


async def test_killed_between_two_turns() -> None:
    end = await ready()
    (server,) = servers()
    server.terminate()
    assert await exit_reason(end.base_url) == "Terminated"
    assert await answer(await ready())


async def test_killed_while_it_starts() -> None:
    await stop_all()
    with pytest.raises(EmbeddedModelError, match=r"cannot be started \(Killed"):
        async with aclosing(start("embedded")) as steps:
            async for _ in steps:
                servers()[0].kill()
    assert await answer(await ready())


async def test_a_stopped_start_breaks_nothing() -> None:
    await stop_all()
    starting = asyncio.Event()

    async def session() -> None:
        async with aclosing(start("embedded")) as steps:
            async for _ in steps:
                starting.set()

    task = asyncio.create_task(session())
    await starting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await answer(await ready())
    assert len(servers()) == 1


@pytest.mark.slow(reason="as other tests begin")
async def test_stop_all_and_start_again() -> None:
    end = await ready()
    (server,) = servers()
    await stop_all()
    assert ended(server)
    assert (await ready()).base_url != end.base_url


@pytest.fixture
async def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A GGUF file of the user's, in the folder where the notebook runs, which is the home too."""
    async for step in fetch(SMOLLM2):
        model = step
    assert isinstance(model, Path)
    (tmp_path / "own.gguf").symlink_to(model)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "own.gguf"


async def test_a_file_of_the_users(own: Path) -> None:
    ends = await asyncio.gather(*(ready(f"gguf:{path}") for path in (own, "own.gguf", "~/own.gguf")))
    assert len(set(ends)) == 1
    assert ends[0].model == "own"
    assert await answer(ends[0])


def test_it_answers_on_all_wires() -> None:
    turns = []
    for wire in ("chat", "responses", "messages"):
        options = {"temperature": 0, "max_tokens": 12}
        agent = LocalAgent(LocalAgentConfig(model="embedded", wire=wire, system="Be brief.", options=options))
        turn = agent.begin("What is the capital of France?").wait()
        assert turn.error is None and turn.text.strip(), (wire, turn)
        assert turn.cost == 0 and len(turn.requests) == len(turn.items) == 1
        turns.append(turn)
    # The server has read the same prompt before, and says so.
    used = {(t.usage.input_tokens, t.usage.output_tokens, t.usage.estimated) for t in turns}
    assert len(used) == len({(t.text, t.stop_reason, t.detail, t.model) for t in turns}) == 1


@pytest.mark.parametrize("wire", ["responses", "messages"])
def test_it_has_tools_and_types_on_chat_completions(wire: str) -> None:
    turn = LocalAgent(LocalAgentConfig(model="embedded", wire=wire, tools=[servers])).begin("Hi").wait()
    assert "takes tools on chat completions" in str(turn.error)
    turn = LocalAgent(LocalAgentConfig(model="embedded", wire=wire, output=int)).begin("Hi").wait()
    assert "takes types of answers on chat completions" in str(turn.error)


async def test_files_that_are_no_models(own: Path, tmp_path: Path) -> None:
    with own.open("rb") as file:
        (tmp_path / "half.gguf").write_bytes(file.read(5_000_000))
    (tmp_path / "text.gguf").write_text("no model")
    assert "corrupted or incomplete" in await refused("gguf:half.gguf")
    assert "is not a GGUF file" in await refused("gguf:text.gguf")
    assert "No such file" in await refused("gguf:none.gguf")
    assert "directory" in await refused("gguf:.")
    assert "gguf:PATH" in await refused("gguf:")
    assert "gguf:PATH" in await refused("embedded/gpt")


class Review(pydantic.BaseModel):
    label: Literal["good", "bad"]
    stars: int


@pytest.mark.parametrize("batch", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 10))])
def test_its_answers_have_their_type(batch: int) -> None:
    agent = LocalAgent(LocalAgentConfig(model="embedded", options={"max_tokens": 80}, output=Review))
    for thing, word in THINGS:
        agent.reset_session()
        turn = agent.begin(f"Rate review {batch}: the {thing} was {word}.").wait()
        assert isinstance(turn.value, Review) and len(turn.requests) == 1


THINGS = [("food", "great"), ("room", "dirty"), ("staff", "kind"), ("bill", "a surprise"), ("bed", "hard")]
