"""HostedAgent when the connection is lost: no event is lost or counted twice, nothing is sent twice."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import httpx2
import pytest
from anthropic import AsyncAnthropic, DefaultAsyncHttpxClient

from praison_nb import errors as e
from praison_nb.backends.hosted.client import transient_errors, with_hint
from praison_nb.events import (
    Activity,
    Event,
    RequestFinished,
    TextDelta,
    TextFinal,
    ToolFinished,
    ToolStarted,
)
from praison_nb.session import Usage
from servers.base import abort
from servers.hosted import (
    HostedServer,
    Tokens,
    ask,
    builtin_tool,
    custom_tool,
    hang_up,
    hold,
    request,
    sse,
    text,
    thinking,
)
from servers.hosted_agent import KEY, hosted, messages, play
from servers.waiting import until

EVENTS = "/events"


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def lasting(told: list[Event]) -> list[Any]:
    """What must be the same whatever happened to the connection: all but previews and passing words. What
    runs here may be told a little earlier or later."""
    kinds = (TextFinal, RequestFinished, ToolStarted, ToolFinished)
    told = [event for event in told if isinstance(event, kinds)]
    return sorted(
        (
            type(event).__name__,
            str([getattr(event, name, "") for name in ("text", "usage", "name", "result")]),
        )
        for event in told
    )


def assert_previews_are_prefixes(told: list[Event]) -> None:
    """No piece is shown twice or at a wrong place."""
    final = {event.message_id: event.text for event in told if isinstance(event, TextFinal)}
    shown: dict[str, str] = {}
    for event in told:
        if isinstance(event, TextDelta):
            shown[event.message_id] = shown.get(event.message_id, "") + event.text
    assert all(final[key].startswith(text) for key, text in shown.items())


def activities(told: list[Event]) -> list[str]:
    return [event.text for event in told if isinstance(event, Activity)]


SHORT = [request(text("Hé", "llo", deltas=2), usage=Tokens(7, 3, 2), cents=1)]
RICH = [
    request(thinking(), text("Let me see. ", deltas=3), builtin_tool("bash", {"c": "ls"}, result="a.csv")),
    request(custom_tool("add", {"a": 1, "b": 2}), usage=Tokens(20, 4, 8, 2, 1), cents=2),
    request(text("It is 3.", deltas=4), usage=Tokens(5, 6)),
]


def ends_of_frames(body: bytes) -> list[int]:
    return [match.end() for match in re.finditer(rb"\n\n", body)]


@pytest.mark.parametrize(("script", "reset"), [(SHORT, True), (RICH, False)])
def test_a_cut_at_any_frame_or_in_one_changes_nothing(
    server: HostedServer, script: list[Any], reset: bool
) -> None:
    agent = hosted(server, tools=[add])
    server.script(script)
    whole, told = play(agent)
    expected, body = lasting(told), bytes(server.streams[0].body)
    assert whole.error is None and len(body) > 1000
    borders = [0, *ends_of_frames(body)]
    start, end = max(pairwise(borders), key=lambda pair: pair[1] - pair[0])
    offsets = [*borders[:-1], (start + end) // 2]
    for offset in offsets:
        agent.reset_session()
        server.script(script)
        server.cut(offset, reset=reset)
        turn, told = play(agent)
        assert turn.error is None, (offset, turn)
        assert (turn.text, turn.usage, turn.cost) == (whole.text, whole.usage, whole.cost), offset
        assert lasting(told) == expected, offset
        assert turn.session_usage is not None and whole.session_usage is not None
        assert turn.session_usage.usage == whole.session_usage.usage
        assert "reconnecting" in activities(told)
        assert_previews_are_prefixes(told)
    assert len(messages(server)) == 1 + len(offsets)


class Body(httpx2.AsyncByteStream):
    """A response's body that breaks off at its end, where there is an error."""

    def __init__(self, data: bytes, error: Exception | None) -> None:
        self.data, self.error = data, error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self.data
        if self.error is not None:
            raise self.error


async def test_of_a_frame_that_is_cut_at_any_byte_nothing_is_read(server: HostedServer) -> None:
    """So that it is the same turn wherever in the frame the cut is."""
    server.script(SHORT)
    await asyncio.to_thread(play, hosted(server))
    whole, body = bytes(server.streams[0].body), b""
    frames = [0, *ends_of_frames(whole)]
    start, end = next(pair for pair in pairwise(frames) if not whole[slice(*pair)].isascii())
    error: Exception | None = None

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"Content-Type": "text/event-stream"}, stream=Body(body, error))

    async def read() -> AsyncIterator[str]:
        async for event in await client.beta.sessions.events.stream("sesn_1", event_deltas=["agent.message"]):
            yield event.to_json()

    http = DefaultAsyncHttpxClient(transport=httpx2.MockTransport(answer))
    async with AsyncAnthropic(api_key=KEY, http_client=http) as client:
        for offset in range(start, end):
            body, events, caught = whole[:offset], [], None
            # By turns a broken connection and one that ends.
            error = httpx2.ReadError("reset") if offset % 2 else None
            try:
                async for event in read():
                    events.append(event)
            except transient_errors() as raised:
                caught = raised
            assert len(events) == body.count(b"\n\n"), offset
            assert error is None or caught is not None, offset


@pytest.mark.parametrize("offset", [0, 1, 200, 700])
@pytest.mark.parametrize("reset", [False, True])
def test_every_stream_is_cut(server: HostedServer, offset: int, reset: bool) -> None:
    agent = hosted(server, tools=[add])
    server.script(RICH)
    whole, told = play(agent)
    agent.reset_session()
    server.script(RICH)
    server.cut(offset, each=True, reset=reset)
    turn, again = play(agent)
    assert (turn.text, turn.usage) == (whole.text, whole.usage)
    assert lasting(again) == lasting(told)
    assert [call.result for call in turn.tools] == ["a.csv", "3"]


@pytest.mark.parametrize("how", ["end", "close", "reset"])
def test_a_stream_that_ends_before_the_turn(server: HostedServer, how: Any) -> None:
    server.script([text("one"), hang_up(how), text("two"), hang_up(how), hang_up(how), text("three")])
    turn, told = play(hosted(server))
    assert turn.text == "one\n\ntwo\n\nthree" and turn.usage == Usage(
        uncached_input_tokens=30, output_tokens=15
    )
    assert "reconnecting" in activities(told)


def test_a_preview_that_was_cut_is_shown_once(server: HostedServer) -> None:
    """The next stream gets only the rest of the pieces; the final message brings what is missing."""
    gate = server.gate()
    server.script([text(["Hel", "lo ", "wor", "ld"], pause=gate)])
    agent = hosted(server)
    run = agent.begin("Hi", stream=True)
    until(run, lambda turn: turn.text == "Hel")
    server.call(lambda: next(iter(server.sessions.values())).send("close"))
    server.wait_for(lambda: len(server.seen("GET", EVENTS)) == 1)
    gate.open()
    assert "".join(run.text()) == "Hello world" and run.turn.text == "Hello world"


@pytest.mark.parametrize("status", [503, 429, 529, 408, None])
@pytest.mark.parametrize("path", ["/stream", "/events"])
def test_a_server_that_is_away_for_a_while(server: HostedServer, status: int | None, path: str) -> None:
    gate = server.gate()
    server.script([text("one"), hold(gate), text("two")])
    run = hosted(server).begin("Hi")
    until(run, lambda turn: turn.text == "one")
    server.refuse(5, status=status, method="GET", path=path)
    server.call(lambda: next(iter(server.sessions.values())).send("reset"))
    until(run, lambda turn: turn.activity == "reconnecting")
    gate.open()
    turn = run.wait()
    assert turn.error is None and turn.text == "one\n\ntwo" and turn.activity == ""
    assert turn.usage == Usage(uncached_input_tokens=20, output_tokens=10)


def test_an_error_told_in_the_stream_is_a_lost_connection(server: HostedServer) -> None:
    body = b'{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}'
    server.script([text("one"), sse(b"event: error\ndata: " + body + b"\n\n"), text("two")])
    assert play(hosted(server))[0].text == "one\n\ntwo"


def test_a_frame_that_is_no_json_is_a_lost_connection(server: HostedServer) -> None:
    server.script([text("one"), sse(b'event: agent.message\ndata: {"type": \n\n'), text("two")])
    assert play(hosted(server))[0].text == "one\n\ntwo"


def test_it_gives_up_and_says_how_to_go_on(server: HostedServer) -> None:
    gate = server.gate()
    server.script([text("half", pause=None), hold(gate), text("rest")])
    agent = hosted(server, reconnect_seconds=0.05)
    run = agent.begin("Hi")
    until(run, lambda turn: turn.text == "half")
    server.refuse(10_000, status=503, method="GET")
    server.call(lambda: next(iter(server.sessions.values())).send("reset"))
    turn = run.wait()
    assert isinstance(turn.error, e.ServerError) and turn.text == "half"
    assert f"resume_session('{agent.session_id}')" in str(turn.error)
    server._refusals.clear()
    gate.open()
    later = hosted(server)
    assert agent.session_id is not None
    later.resume_session(agent.session_id)
    assert play(later, "and now")[0].text.endswith("and now")
    assert play(agent, "here too")[0].text == "here too"


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_final(server: HostedServer, status: int) -> None:
    gate = server.gate()
    server.script([text("half"), hold(gate)])
    agent = hosted(server)
    run = agent.begin("Hi")
    until(run, lambda turn: turn.text == "half")
    server.refuse(10_000, status=status, method="GET", path="/stream")
    server.call(lambda: next(iter(server.sessions.values())).send("reset"))
    turn = run.wait()
    assert isinstance(turn.error, e.AuthenticationError) and "resume_session" in str(turn.error)
    assert server.api_key not in str(turn.error)
    assert len(server.seen("GET", "/stream")) == 2


# The message is sent once


@pytest.mark.parametrize("status", [503, None])
def test_a_message_that_was_refused_is_sent_again(server: HostedServer, status: int | None) -> None:
    agent = hosted(server)
    server.refuse(2, status=status, method="POST", path=EVENTS)
    turn, told = play(agent)
    assert turn.text == "Hi" and messages(server) == ["Hi"]
    assert "reconnecting" in activities(told)


def test_a_hint_changes_nothing_of_an_error_but_its_message() -> None:
    key = "sk-ant-api03-abcdefgh12345678"
    error = with_hint(e.RateLimitError("Slow down.", status_code=429, retry_after=3.0), f"sesn_1 {key}")
    assert type(error) is e.RateLimitError and (error.status_code, error.retry_after) == (429, 3.0)
    assert str(error).startswith("Slow down. The session still exists") and key not in str(error)


def test_a_message_that_is_rejected_is_not_sent_again(server: HostedServer) -> None:
    server.refuse(1, status=400, method="POST", path=EVENTS, message="content: too long")
    turn, _ = play(agent := hosted(server))
    assert isinstance(turn.error, e.RequestRejectedError) and "too long" in str(turn.error)
    assert len(server.seen("POST", EVENTS)) == 1 and play(agent, "short")[0].text == "short"


class Forgetful(HostedServer):
    """Takes what is sent and loses the connection before it answers, so many times."""

    losses = 0

    async def body(self, request: Any) -> Any:
        data = await super().body(request)
        if self.losses and request.method == "POST" and request.path.endswith(EVENTS):
            self.losses -= 1
            self.sessions[request.match_info["id"]].receive(data["events"])
            await abort(request, reset=True)
            raise ConnectionResetError
        return data


@pytest.mark.parametrize("before", [0, 1])
def test_a_message_whose_receipt_was_lost_is_found_and_not_sent_again(before: int) -> None:
    with Forgetful() as server:
        agent = hosted(server, tools=[add])
        for _ in range(before):
            play(agent, "the same")
        server.losses = 1
        turn, _ = play(agent, "the same")
        assert server.losses == 0
        assert turn.text == "the same" and messages(server) == ["the same"] * (before + 1)
        assert turn.usage == Usage(uncached_input_tokens=10, output_tokens=5)


def test_answers_whose_receipt_was_lost_are_not_sent_again() -> None:
    with Forgetful() as server:
        server.script([request(custom_tool("add", {"a": 2, "b": 2}), ask(builtin_tool("rm", result="gone")))])
        agent = hosted(server, tools=[add])
        agent.on_tool_confirmation = lambda call: True
        server.losses = 3
        turn, _ = play(agent)
        assert turn.error is None and server.losses == 0
        assert [call.result for call in turn.tools] == ["4", "gone"]
        assert messages(server) == ["Hi"] and not turn.notices
        session = next(iter(server.sessions.values()))
        answers = [event["type"] for event in session.events if event["type"].startswith("user.")]
        assert sorted(answers) == ["user.custom_tool_result", "user.message", "user.tool_confirmation"]
