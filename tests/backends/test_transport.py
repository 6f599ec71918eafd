"""One attempt at a request: real SDKs ask a loopback server, and what comes of it is told as it is."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from praison_nb import LocalAgent, LocalAgentConfig, errors as e
from praison_nb.backends.local import transport
from praison_nb.backends.local.client import checked_key, client_of
from praison_nb.backends.local.providers import Server
from praison_nb.backends.local.rules import WireName
from praison_nb.backends.local.transport import Deadline, Stream, open_stream
from praison_nb.backends.sdk_errors import is_retryable, unchained
from praison_nb.runtime import loop
from servers.base import ByteStream, LoopbackServer

KEY = "test-key-12345"
DONE = b"data: [DONE]\n\n"
JSON, SSE = "application/json", "text/event-stream"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def event(**fields: Any) -> bytes:
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


class AnyServer(LoopbackServer):
    """Answers each request with bytes, with (status, type, bytes), or as a function does; the last answer
    is for all that follow."""

    def __init__(self, *answers: bytes | tuple[int, str, bytes] | Answer) -> None:
        super().__init__()
        self.answers = list(answers)
        self.peers: list[Any] = []

    def routes(self, router: web.UrlDispatcher) -> None:
        router.add_post("/{path:.*}", self._answer)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        self.peers.append(request.transport.get_extra_info("peername"))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(answer):
            return await answer(request)
        status, kind, body = answer if isinstance(answer, tuple) else (200, SSE, answer)
        if status != 200 or kind != SSE:
            return web.Response(status=status, body=body, content_type=kind)
        stream = await self.stream(request)
        await stream.write(body)
        return stream.response

    def server(self, **fields: Any) -> Server:
        known = {"name": "Some API", "base_url": f"{self.url}/v1", "model": "m", "api_key": KEY}
        return Server(**{**known, **fields})


async def read(
    server: Server, body: dict[str, Any] | None = None, deadline: Deadline | None = None
) -> tuple[list[dict[str, Any]], Stream, e.PraisonError | None]:
    """The events, the stream, and what it raised. An event with `n` is something new."""
    deadline = deadline or Deadline(30)
    path = "/messages" if server.wire == "messages" else "/chat/completions"
    found: list[dict[str, Any]] = []
    stream = open_stream(server, path, body if body is not None else {"model": "m"}, deadline)

    async def run() -> e.PraisonError | None:
        try:
            async with stream:
                async for each in stream:
                    found.append(each)
                    if "n" in each:
                        deadline.extend()
        except e.PraisonError as error:
            return error
        return None

    return found, stream, await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(run(), loop.get()))


@pytest.mark.parametrize("wire", ["chat", "responses", "messages"])
async def test_a_request_and_its_events(wire: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with AnyServer(event(n=1) + b": ping\n\n" + event(n=2) + DONE) as there:
        server = there.server(wire=wire)
        for _ in range(2):
            found, stream, problem = await read(server, {"model": "m", "messages": []})
            assert found == [{"n": 1}, {"n": 2}] and stream.end == "done" and problem is None
            # What no SDK promises to have under this name in its next version.
            monkeypatch.delattr(client_of(server), "_client", raising=False)
        monkeypatch.undo()
    assert [each.json for each in there.requests] == [{"model": "m", "messages": [], "stream": True}] * 2
    _, request = there.requests
    assert request.path == ("/v1/messages" if wire == "messages" else "/v1/chat/completions")
    assert KEY in request.headers.get("authorization", "") + request.headers.get("x-api-key", "")
    assert ("anthropic-version" in request.headers) == (wire == "messages")


async def test_requests_use_one_connection() -> None:
    with AnyServer(event(n=1) + DONE) as there:
        for _ in range(3):
            await read(there.server())
    assert len(set(there.peers)) == 1


async def test_no_connection_is_used_again_that_its_server_ends() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=event(n=1) + DONE, content_type=SSE, headers={"Server": "llama.cpp"})

    with AnyServer(answer) as there:
        for _ in range(3):
            found, _, problem = await read(there.server())
            assert found == [{"n": 1}] and problem is None
    assert len(set(there.peers)) == 3


async def test_what_the_user_adds_to_each_request() -> None:
    body = {
        "model": "m",
        "extra_headers": {"X-Title": "notebook", "Authorization": "Token other"},
        "extra_query": {"api-version": "1"},
        "extra_body": {"top_k": 3},
        "timeout": 5,
    }
    with AnyServer(DONE) as there:
        await read(there.server(), body)
    (request,) = there.requests
    assert request.json == {"model": "m", "top_k": 3, "stream": True} and request.query["api-version"] == "1"
    assert request.headers["x-title"] == "notebook" and request.headers["authorization"] == "Token other"


@pytest.mark.parametrize("value", [float("nan"), b"bytes", {1}, "\ud800"])
async def test_options_that_json_has_not(value: Any) -> None:
    with AnyServer(DONE) as there:
        _, _, problem = await read(there.server(), {"model": "m", "user": value})
    assert isinstance(problem, e.ConfigError) and "options cannot be written as JSON" in str(problem)
    assert not there.requests


@pytest.mark.parametrize("wire", ["chat", "responses", "messages"])
@pytest.mark.parametrize(
    ("base_url", "path", "query"),
    [
        ("/v1?api-version=1", "/v1/{}", {"api-version": "1", "x": "y"}),
        ("/v1/?api-version=1#top", "/v1/{}", {"api-version": "1", "x": "y"}),
        ("/v1/{}", "/v1/{}", {"x": "y"}),
        ("/v1/{}/", "/v1/{}", {"x": "y"}),
    ],
)
async def test_addresses_with_more_than_a_path(
    wire: WireName, base_url: str, path: str, query: dict[str, str]
) -> None:
    of_wire = {"chat": "chat/completions"}.get(wire, wire)
    with AnyServer(DONE) as there:
        server = there.server(wire=wire, base_url=there.url + base_url.format(of_wire))
        stream = open_stream(server, of_wire, {"model": "m", "extra_query": {"x": "y"}}, Deadline(30))

        async def ask() -> None:
            async with stream:
                pass

        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(ask(), loop.get()))
    (request,) = there.requests
    assert request.path == path.format(of_wire) and dict(request.query) == query


SAID: dict[str, bytes] = {
    "chat": event(choices=[{"delta": {"content": "Hi"}, "finish_reason": "stop"}]),
    "responses": event(type="response.output_text.delta", delta="Hi"),
    "messages": event(type="content_block_delta", index=0, delta={"type": "text_delta", "text": "Hi"}),
}


def agent_at(server: AnyServer, wire: str) -> LocalAgent:
    return LocalAgent(LocalAgentConfig(model="m", base_url=f"{server.url}/v1", api_key=KEY, wire=wire))


@pytest.mark.parametrize(("wire", "other"), list(permutations(SAID, 2)))
def test_an_answer_in_the_form_of_another_wire(wire: str, other: str) -> None:
    with AnyServer(SAID[other] + DONE) as there:
        turn = agent_at(there, wire).begin("Hi").wait()
    assert isinstance(turn.error, e.MalformedStreamError) and f"set wire={other!r}" in str(turn.error)
    assert len(there.requests) == 1


@pytest.mark.parametrize("wire", ["responses", "messages"])
@pytest.mark.parametrize(
    ("words", "told"),
    [(b"upstream timed out\n", "upstream timed out"), (b"<html><title>504 Late</title></html>", "504 Late")],
)
def test_what_is_said_at_the_end_of_half_an_answer(wire: str, words: bytes, told: str) -> None:
    with AnyServer(SAID[wire] + words) as there:
        turn = agent_at(there, wire).begin("Hi").wait()
    assert isinstance(turn.error, e.UnreachableError) and str(turn.error).endswith(f"It said: {told}")
    assert turn.text == "Hi"


@pytest.mark.parametrize("body", [b"null", b"42", b'"text"', b"[]"])
async def test_json_that_is_no_answer(body: bytes) -> None:
    with AnyServer((200, JSON, body)) as there:
        _, _, problem = await read(there.server())
    assert isinstance(problem, e.MalformedStreamError) and "JSON without anything" in str(problem)


REFUSALS: list[Any] = [
    {"error": {"message": "Unrecognized request argument supplied: {}"}},
    {"error": {"message": "Unknown parameter: '{}'.", "param": "{}", "code": "unknown_parameter"}},
    {"error": {"message": "Encrypted content is not supported.", "param": "{}"}},
    {"error": {"message": "Invalid value: '{}[0]'.", "param": "{}[0]"}},
    {"error": {"message": 'Unrecognized field "{}".'}},
    {"detail": "extra fields not permitted: {}"},
    {"detail": [{"loc": ["body", "{}"], "msg": "Extra inputs are not permitted"}]},
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
@pytest.mark.parametrize("name", ["stream_options", "include", "prompt_cache_key"])
async def test_a_server_that_does_not_know_a_field(name: str, refusal: Any) -> None:
    body = {"model": "m", name: "some"}
    refused = (422, JSON, json.dumps(refusal).replace("{}", name).encode())
    with AnyServer() as there:
        for _ in range(2):
            there.answers = [refused, event(n=1) + DONE]
            found, _, problem = await read(there.server(), body)
            assert (found, problem) == ([{"n": 1}], None)
        there.answers = [refused]
        assert isinstance((await read(there.server(), {"model": "m"}))[2], e.RequestRejectedError)
    sent = [request.json for request in there.requests]
    assert [name in body for body in sent] == [True, False, True, False, False]


async def test_a_server_that_knows_none_of_the_optional_fields() -> None:
    fields = ("stream_options", "include", "prompt_cache_key")
    refusals = [
        (400, JSON, json.dumps({"error": {"message": f"{name}: unknown"}}).encode()) for name in fields
    ]
    with AnyServer(*refusals, event(n=1) + DONE) as there:
        found, _, problem = await read(there.server(), {"model": "m", **dict.fromkeys(fields, "some")})
    assert (found, problem) == ([{"n": 1}], None)
    assert there.requests[-1].json == {"model": "m", "stream": True}


@pytest.mark.parametrize(
    "said", ["the tools include one without a name", "messages: unknown field", "included"]
)
async def test_another_refusal_is_told(said: str) -> None:
    refused = (400, JSON, json.dumps({"error": {"message": said}}).encode())
    with AnyServer(refused) as there:
        _, _, problem = await read(there.server(), {"model": "m", "messages": [], "include": []})
    assert isinstance(problem, e.RequestRejectedError) and said in str(problem) and len(there.requests) == 1


async def test_one_attempt_only() -> None:
    with AnyServer((503, JSON, b'{"error": {"message": "busy"}}')) as there:
        _, _, problem = await read(there.server())
    assert isinstance(problem, e.ServerError) and is_retryable(problem) and len(there.requests) == 1


# What is no stream


async def test_a_whole_answer_in_place_of_a_stream() -> None:
    whole = {"choices": [{"message": {"content": "The answer"}}], "error": None}
    with AnyServer((200, JSON, json.dumps(whole).encode())) as there:
        found, stream, problem = await read(there.server())
    assert found == [whole] and stream.end == "done" and problem is None


@pytest.mark.parametrize(
    ("body", "kind", "told"),
    [
        ({"error": {"message": "No endpoints found for m.", "code": 404}}, e.ModelNotFoundError, "endpoints"),
        ({"error": "the plug was pulled"}, e.ServerError, "the plug was pulled"),
        ({"detail": "Too many requests", "code": "rate_limit_exceeded"}, e.RateLimitError, "Too many"),
        (
            [{"error": {"code": 400, "message": "Bad tool.", "status": "INVALID_ARGUMENT"}}],
            e.ProviderError,
            "Bad",
        ),
        ({"message": "Unauthorized", "code": 401}, e.AuthenticationError, "Unauthorized"),
        ({}, e.ProviderError, "Some API"),
    ],
)
async def test_an_error_with_status_200(body: Any, kind: type[e.ProviderError], told: str) -> None:
    with AnyServer((200, JSON, json.dumps(body).encode())) as there:
        found, _, problem = await read(there.server())
    assert found == [] and isinstance(problem, kind) and told in str(problem)


@pytest.mark.parametrize("status", [200, 404, 502])
@pytest.mark.parametrize("kind", ["text/html", SSE])
async def test_a_page_is_told_as_what_it_is(status: int, kind: str) -> None:
    page = b"<!DOCTYPE html>\n<html><head><title>Sign in &amp; wait</title></head>\n<body>x</body></html>"
    with AnyServer((status, kind, page)) as there:
        _, _, problem = await read(there.server())
    assert problem is not None and "Sign in & wait" in str(problem) and "<" not in str(problem)
    if status == 200:
        assert "is no API" in str(problem) and "/v1" in str(problem)


async def test_damage_is_told_and_costs_only_itself() -> None:
    with AnyServer(event(n=1) + b'data: {"n": \n\n' + event(n=3) + DONE) as there:
        found, _, problem = await read(there.server())
    assert found == [{"n": 1}, {"n": 3}] and isinstance(problem, e.MalformedStreamError)


@pytest.mark.parametrize("reset", [False, True])
async def test_a_cut_stream_has_what_came(reset: bool) -> None:
    with AnyServer(event(n=1) + b'data: {"n": 2}') as there:
        there.cut(len(event(n=1)) + 14, reset=reset)
        found, stream, problem = await read(there.server())
    # A reset may overtake what was sent before it.
    assert found == [{"n": 1}, {"n": 2}] or (reset and found in ([], [{"n": 1}]))
    assert isinstance(problem, e.UnreachableError) and stream.end == ""
    assert problem.__cause__ is not None
    assert unchained(problem).__cause__ is None


async def test_a_stream_that_is_closed_in_peace() -> None:
    with AnyServer(event(n=1)) as there:
        found, stream, problem = await read(there.server())
    assert found == [{"n": 1}] and stream.end == "closed" and problem is None


async def test_nothing_is_waited_for_after_the_end() -> None:
    async def keep_open(request: web.Request) -> web.StreamResponse:
        stream = await there.stream(request)
        await stream.write(event(n=1) + DONE)
        await there.gate().passed()
        return stream.response

    with AnyServer(keep_open) as there:
        found, stream, problem = await read(there.server())
    assert found == [{"n": 1}] and stream.end == "done" and problem is None


# Deadlines


def drip(there: Callable[[], AnyServer], *pieces: bytes) -> Answer:
    """Sends the pieces, and the last one for ever."""

    async def answer(request: web.Request) -> web.StreamResponse:
        stream: ByteStream = await there().stream(request)
        for piece in pieces:
            await stream.write(piece)
        while True:
            await stream.write(pieces[-1])
            await asyncio.sleep(0.01)

    return answer


@pytest.mark.parametrize("ping", [b": PROCESSING\n\n", b"event: ping\n\n", b"data: {}\n\n", b"\n", b"x"])
async def test_pings_extend_no_deadline(ping: bytes) -> None:
    with AnyServer(drip(lambda: there, event(n=1), ping)) as there:
        found, _, problem = await read(there.server(), deadline=Deadline(1))
    assert found[0] == {"n": 1}
    assert isinstance(problem, e.TurnTimeoutError) and "nothing new for 1 s" in str(problem)
    assert not is_retryable(problem)


async def test_what_is_new_extends_the_deadline() -> None:
    async def slowly(request: web.Request) -> web.StreamResponse:
        stream = await there.stream(request)
        for n in range(8):
            await asyncio.sleep(0.3)
            await stream.write(event(n=n))
        await stream.write(DONE)
        return stream.response

    with AnyServer(slowly) as there:
        found, _, problem = await read(there.server(), deadline=Deadline(2))
    assert len(found) == 8 and problem is None


async def test_a_server_that_does_not_answer_at_all() -> None:
    async def never(request: web.Request) -> web.StreamResponse:
        await there.gate().passed()
        return web.Response()

    with AnyServer(never) as there:
        _, _, problem = await read(there.server(), deadline=Deadline(0.1))
    assert isinstance(problem, e.TurnTimeoutError) and "0.1 s" in str(problem)


async def test_loading_the_sdk_is_not_the_servers_time(monkeypatch: pytest.MonkeyPatch) -> None:
    deadline = Deadline(30)

    async def load(server: Server) -> None:
        running.append(deadline._timer is not None)

    running: list[bool] = []
    monkeypatch.setattr(transport, "load", load)
    with AnyServer(event(n=1) + DONE) as there:
        await read(there.server(), deadline=deadline)
    assert running == [False]


async def test_the_reader_may_take_its_time() -> None:
    deadline = Deadline(1)
    with AnyServer(event(n=1)) as there:

        async def run() -> int:
            count = 0
            async with open_stream(there.server(), "/chat/completions", {}, deadline) as stream:
                async for _ in stream:
                    count += 1
                    await asyncio.sleep(1.2)
            return count

        asked = asyncio.run_coroutine_threadsafe(run(), loop.get())
        assert await asyncio.wrap_future(asked) == 1


async def test_an_error_without_end_is_read_to_a_line() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=500)
        await response.prepare(request)
        while True:
            await response.write(b"no " * 10_000)

    with AnyServer(endless) as there:
        _, _, problem = await read(there.server())
    assert type(problem) is e.ServerError and "no no" in str(problem) and len(str(problem)) < 600


async def test_a_stop_is_no_timeout() -> None:
    with AnyServer(drip(lambda: there, b": ping\n\n")) as there:

        async def stopped() -> str:
            async def run() -> None:
                async with open_stream(there.server(), "/chat/completions", {}, Deadline(30)) as stream:
                    async for _ in stream:
                        pass

            task = asyncio.ensure_future(run())
            await asyncio.to_thread(there.wait_for, lambda: there.streams and there.streams[0].body)
            task.cancel()
            done, _ = await asyncio.wait([task])
            return "cancelled" if done.pop().cancelled() else "ended"

        asked = asyncio.run_coroutine_threadsafe(stopped(), loop.get())
        assert await asyncio.wrap_future(asked) == "cancelled"


# Keys


MINE = {
    "OPENAI_ORG_ID": "org-mine",
    "OPENAI_PROJECT_ID": "proj-mine",
    "OPENAI_ADMIN_KEY": "admin-mine",
    "OPENAI_CUSTOM_HEADERS": "X-Mine: header-mine\nAuthorization: Bearer custom-mine\nCookie: c=mine",
    "OPENAI_API_KEY": "sk-mine",
    "ANTHROPIC_API_KEY": "sk-ant-mine",
    "ANTHROPIC_AUTH_TOKEN": "token-mine",
    "ANTHROPIC_CUSTOM_HEADERS": "X-Mine: mine\nx-api-key: custom-mine\nauthorization: Bearer also-mine",
    "ANTHROPIC_WORKSPACE_ID": "workspace-mine",
}


@pytest.mark.parametrize("wire", ["chat", "responses", "messages"])
@pytest.mark.parametrize("key", [KEY, ""])
async def test_what_is_for_a_maker_goes_to_nobody_else(
    monkeypatch: pytest.MonkeyPatch, wire: str, key: str
) -> None:
    for name, value in MINE.items():
        monkeypatch.setenv(name, value)
    with AnyServer(DONE) as there:
        _, _, problem = await read(
            there.server(wire=wire, api_key=key), {"model": "m", "extra_headers": {"X-Own": "own"}}
        )
    assert problem is None
    headers = there.requests[0].headers
    assert not [value for value in headers.values() if "mine" in value]
    keys = {
        value.removeprefix("Bearer ")
        for name in ("authorization", "x-api-key")
        if (value := headers.get(name))
    }
    assert keys == {key or "none"} and headers["x-own"] == "own"


@pytest.mark.parametrize("host", ["api.openai.com", "eu.api.openai.com", "example.org"])
async def test_the_makers_own_server_gets_what_is_for_it(
    monkeypatch: pytest.MonkeyPatch, no_proxies: None, host: str
) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-mine")
    # A plain proxy gets the request that is for the host behind it.
    with AnyServer(event(n=1) + DONE) as there:
        monkeypatch.setenv("HTTP_PROXY", there.url)
        found, _, problem = await read(there.server(base_url=f"http://{host}/v1"))
    assert found == [{"n": 1}], problem
    request = there.requests[0]
    assert request.headers["host"] == host and request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers.get("openai-organization") == ("org-mine" if "openai" in host else None)


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("Bearer sk-secretkey12345", "begins with 'Bearer'"),
        ("sk-sécret12345678", "character 5 is one that no key has"),
        ("sk-secret\nkey12345", "character 10 is a blank or a line end"),
        ("'sk-secretkey12345'", "quotes"),
        ("sk-secretkey12345…", "character 18"),
    ],
)
async def test_a_key_that_is_none_is_named_and_not_shown(key: str, told: str) -> None:
    with AnyServer(DONE) as there:
        _, _, problem = await read(there.server(api_key=key, key_variable="OPENAI_API_KEY"))
    assert isinstance(problem, e.ConfigError) and told in str(problem) and "OPENAI_API_KEY" in str(problem)
    assert "secret" not in str(problem) and not there.requests


@pytest.mark.parametrize("key", [" sk-key", "sk-key\r\n", "\tsk-key ", "\u00a0sk-key"])
def test_blanks_around_a_key_are_no_part_of_it(key: str) -> None:
    assert checked_key(key, "OPENAI_API_KEY") == "sk-key"


# The network


@asynccontextmanager
async def raw_server(answer: bytes, **options: Any) -> AsyncIterator[int]:
    """A port where each connection gets `answer` to its first bytes, and no more."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(answer)
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, **options)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        await listening.wait_closed()


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
async def test_a_proxy_that_wants_a_password(
    monkeypatch: pytest.MonkeyPatch, no_proxies: None, variable: str
) -> None:
    refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n"
    async with raw_server(refusal) as port:
        monkeypatch.setenv(variable, f"http://127.0.0.1:{port}")
        _, _, problem = await read(Server("API", f"https://api.example/{variable}", "m", api_key=KEY))
    assert isinstance(problem, e.UnreachableError) and "407" in str(problem)
    assert variable.upper() in str(problem) and not is_retryable(problem)


async def test_a_plain_proxy_that_wants_a_password(monkeypatch: pytest.MonkeyPatch, no_proxies: None) -> None:
    with AnyServer((407, "text/html", b"<html><title>Proxy</title></html>")) as there:
        monkeypatch.setenv("HTTP_PROXY", there.url)
        _, _, problem = await read(Server("API", "http://api.example/plain", "m", api_key=KEY))
    assert isinstance(problem, e.UnreachableError) and "HTTP_PROXY" in str(problem) and "407" in str(problem)


async def test_a_proxy_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, no_proxies: None) -> None:
    async with raw_server(b"") as port:
        pass
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
    _, _, problem = await read(Server("API", "https://api.example/gone", "m", api_key=KEY))
    assert isinstance(problem, e.UnreachableError) and "HTTPS_PROXY" in str(problem)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ALL_PROXY", "ftp://127.0.0.1:1"),
        ("HTTPS_PROXY", "socks5://127.0.0.1:1"),
        ("HTTP_PROXY", "http://[::1"),
    ],
)
async def test_a_proxy_that_is_none(
    monkeypatch: pytest.MonkeyPatch, no_proxies: None, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    _, _, problem = await read(Server("API", f"https://api.example/{variable}-none", "m", api_key=KEY))
    assert isinstance(problem, e.ConfigError) and variable in str(problem)


async def test_a_proxy_counts_from_when_it_is_set(monkeypatch: pytest.MonkeyPatch, no_proxies: None) -> None:
    server = Server("API", "http://api.example/later", "m", api_key=KEY)
    with AnyServer((407, "text/plain", b"")) as wrong, AnyServer(event(n=1) + DONE) as right:
        monkeypatch.setenv("HTTP_PROXY", wrong.url)
        assert isinstance((await read(server))[2], e.UnreachableError)
        monkeypatch.setenv("HTTP_PROXY", right.url)
        assert (await read(server))[0] == [{"n": 1}]


async def test_no_proxy_for_this_machine(monkeypatch: pytest.MonkeyPatch, no_proxies: None) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    with AnyServer(event(n=1) + DONE) as there:
        assert (await read(there.server()))[0] == [{"n": 1}]


def tls(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


@pytest.mark.parametrize("variable", ["", "REQUESTS_CA_BUNDLE"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_certificate_that_nobody_knows(
    monkeypatch: pytest.MonkeyPatch, certificate: tuple[Path, Path], variable: str
) -> None:
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, str(certificate[0]))
    async with raw_server(b"", ssl=tls(certificate)) as port:
        _, _, problem = await read(Server("API", f"https://127.0.0.1:{port}/v1", "m", api_key=KEY))
    assert isinstance(problem, e.UnreachableError) and "set SSL_CERT_FILE" in str(problem), problem
    assert variable in str(problem) and not is_retryable(problem)


async def test_https_where_http_is_spoken() -> None:
    with AnyServer(DONE) as there:
        _, _, problem = await read(there.server(base_url=there.url.replace("http:", "https:")))
    assert isinstance(problem, e.UnreachableError) and "http://" in str(problem)


async def test_nobody_listens() -> None:
    async with raw_server(b"") as port:
        pass
    _, _, problem = await read(Server("API", f"http://user:hunter22@127.0.0.1:{port}/v1", "m", api_key=KEY))
    assert isinstance(problem, e.UnreachableError) and "Is it running" in str(problem)
    assert "hunter22" not in str(problem) and not is_retryable(problem)


async def test_a_server_that_hangs_up_without_an_answer() -> None:
    async with raw_server(b"") as port:
        _, _, problem = await read(Server("API", f"http://127.0.0.1:{port}/v1", "m", api_key=KEY))
    assert isinstance(problem, e.UnreachableError) and is_retryable(problem)


@contextmanager
def no_files_left() -> Iterator[None]:
    """The process has as many files open as it may."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = [os.open(os.devnull, os.O_RDONLY)]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(held) + 1, before[1]))
        with suppress(OSError):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for each in held:
            os.close(each)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_a_process_that_can_open_no_file(host: str) -> None:
    with AnyServer(DONE) as there:
        server = Server("API", there.url.replace("127.0.0.1", host) + "/v1", "m", api_key=KEY)
        # What is imported on the way is imported now.
        nobody = Server("API", "http://localhost:1/v1", "m", api_key=KEY)
        await read(nobody)
        with no_files_left():
            _, _, problem = await read(server)
    assert isinstance(problem, e.UnreachableError) and "as many files and connections open" in str(problem)


@pytest.mark.parametrize("wait", ["-5", "nan", "1e400", "soon", "-Infinity", ""])
async def test_a_time_to_wait_that_is_none(wait: str) -> None:
    async def refuse(request: web.Request) -> web.Response:
        return web.json_response({"error": {"message": "slow"}}, status=429, headers={"retry-after": wait})

    with AnyServer(refuse) as there:
        _, _, problem = await read(there.server())
    assert isinstance(problem, e.RateLimitError) and "Try again later" in str(problem)
    assert problem.retry_after is None and is_retryable(problem)
