"""The hosted test server, driven by the SDK's own client: what other tests stand on must stand itself."""

from __future__ import annotations

import asyncio
import gc
import socket
import warnings
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anthropic
import httpx2
import pydantic
import pytest
from anthropic import AsyncAnthropic

from servers.hosted import (
    HostedServer,
    Tokens,
    ask,
    builtin_tool,
    custom_tool,
    delta,
    error,
    event,
    hang_up,
    hold,
    idle,
    mcp_tool,
    preview,
    raw,
    request,
    rescheduled,
    running,
    sse,
    terminated,
    text,
    thinking,
    usage_snapshot,
)

BUDGET = {"type": "limit", "max_list_cost": {"amount": "5", "currency": "USD"}}
PREVIEWS: Any = ["agent.message", "agent.thinking"]


@pytest.fixture
def server() -> Iterator[HostedServer]:
    with HostedServer() as server:
        yield server


@pytest.fixture
async def client(server: HostedServer) -> AsyncIterator[AsyncAnthropic]:
    async with AsyncAnthropic(base_url=server.url, api_key=server.api_key) as client:
        yield client


async def new_session(client: AsyncAnthropic, **fields: Any) -> str:
    agent = await client.beta.agents.create(name="helper", model="claude-opus-5-5", system="Be brief.")
    name = f"cloud of {agent.id}"  # it is unique
    environment = await client.beta.environments.create(name=name, config={"type": "cloud"})
    session = await client.beta.sessions.create(agent=agent.id, environment_id=environment.id, **fields)
    return session.id


def message(prompt: str) -> Any:
    return {"type": "user.message", "content": [{"type": "text", "text": prompt}]}


async def play(client: AsyncAnthropic, session_id: str, *events: Any, previews: Any = ()) -> list[Any]:
    """Open a stream, send, and read until the turn is over."""
    seen = []
    stream = await client.beta.sessions.events.stream(session_id, event_deltas=previews)
    async with stream:
        await client.beta.sessions.events.send(session_id, events=events or [message("hi")])
        async for each in stream:
            seen.append(each)
            if each.type == "session.status_terminated" or (
                each.type == "session.status_idle" and each.stop_reason.type != "requires_action"
            ):
                break
    return seen


def types(events: list[Any]) -> list[str]:
    return [each.type for each in events]


async def test_stream_history_and_session_agree(server: HostedServer, client: AsyncAnthropic) -> None:
    session_id = await new_session(client, title="A title")
    used = Tokens(12, 5, cache_read=3, cache_write_1h=2)
    server.script([request(thinking(), text("Hello", deltas=3), usage=used, cents=2, seconds=1.5)])
    seen = await play(client, session_id, previews=PREVIEWS)
    assert types(seen) == [
        "user.message",  # queued
        "session.status_running",
        "user.message",  # processed
        "span.model_request_start",
        "event_start",
        "agent.thinking",
        "event_start",
        "event_delta",
        "event_delta",
        "event_delta",
        "agent.message",
        "span.model_request_end",
        "session.usage",
        "session.status_idle",
    ]
    assert seen[0].id == seen[2].id and seen[0].processed_at is None and seen[2].processed_at
    assert "".join(each.delta.content.text for each in seen if each.type == "event_delta") == "Hello"
    assert seen[6].event.id == seen[7].event_id == seen[10].id and seen[10].content[0].text == "Hello"

    history = [each async for each in client.beta.sessions.events.list(session_id)]
    kept = [each.id for each in seen if hasattr(each, "id") and each is not seen[0]]
    assert sorted(each.id for each in history) == sorted(kept)
    session = await client.beta.sessions.retrieve(session_id)
    assert (session.status, session.title) == ("idle", "A title")
    assert session.usage.to_dict() == seen[-2].usage.to_dict()
    assert (session.usage.input_tokens, session.usage.list_cost.amount) == (12, "2")
    assert session.usage.active_seconds == session.stats.active_seconds == 1.5
    assert session.usage.cache_creation.ephemeral_1h_input_tokens == 2


async def test_previews_are_for_those_who_ask(server: HostedServer, client: AsyncAnthropic) -> None:
    session_id = await new_session(client)
    server.script(
        [text("Hello", deltas=5, shed=2)], [text("Never", final=False), preview(delta("x", "y", None))]
    )
    shed = await play(client, session_id, previews=["agent.message"])
    assert "".join(each.delta.content.text for each in shed if each.type == "event_delta") == "Hel"
    unfinished = await play(client, session_id, previews=["agent.message"])
    assert "agent.message" not in types(unfinished) and unfinished[-3].type == "event_delta"
    assert "event_start" not in types(await play(client, session_id))
    with pytest.raises(anthropic.BadRequestError, match="event_deltas"):
        await client.beta.sessions.events.stream(session_id, event_deltas=["agent.tool_use"])  # type: ignore[list-item]


async def test_a_turn_waits_for_answers(server: HostedServer, client: AsyncAnthropic) -> None:
    session_id = await new_session(client)
    send = client.beta.sessions.events.send
    tools = [
        ask(builtin_tool("bash", {"command": "ls"}, result="a.txt")),
        ask(mcp_tool("files", "rm", result="gone")),
    ]
    server.script(
        [request(builtin_tool("read", result="text"), *tools, custom_tool("add", {"a": 1})), text("Done")]
    )
    stream = await client.beta.sessions.events.stream(session_id)
    async with stream:
        await send(session_id, events=[message("go")])
        seen: list[Any] = []

        async def until(wanted: str) -> Any:
            async for each in stream:
                seen.append(each)
                if each.type == wanted:
                    return each
            raise AssertionError(f"the stream ended before {wanted}")

        bash, mcp, custom = (await until("session.status_idle")).stop_reason.event_ids
        allow = {"type": "user.tool_confirmation", "tool_use_id": bash, "result": "allow"}
        with pytest.raises(anthropic.BadRequestError, match="allow"):
            await send(session_id, events=[{**allow, "result": "allowed"}])  # type: ignore[list-item]
        with pytest.raises(anthropic.BadRequestError, match="deny_message"):
            await send(session_id, events=[{**allow, "deny_message": "no"}])  # type: ignore[list-item]
        with pytest.raises(anthropic.BadRequestError, match="does not wait"):
            await send(session_id, events=[allow, allow])  # type: ignore[list-item]
        with pytest.raises(anthropic.BadRequestError, match="does not wait"):
            await send(session_id, events=[{**allow, "tool_use_id": custom}])  # type: ignore[list-item]
        await send(session_id, events=[allow])  # type: ignore[list-item]
        assert (await until("session.status_idle")).stop_reason.event_ids == [mcp, custom]
        assert (await client.beta.sessions.retrieve(session_id)).status == "idle"
        deny: Any = {
            "type": "user.tool_confirmation",
            "tool_use_id": mcp,
            "result": "deny",
            "deny_message": "Keep it",
        }
        result: Any = {"type": "user.custom_tool_result", "custom_tool_use_id": custom, "is_error": True}
        await send(session_id, events=[deny, result])
        await until("agent.message")
    after = seen[len(seen) - 1 - types(seen)[::-1].index("session.status_running") :]
    assert types(after)[1:3] == ["agent.tool_result", "agent.mcp_tool_result"]
    assert (after[1].tool_use_id, after[1].is_error) == (bash, False)
    assert (after[2].mcp_tool_use_id, after[2].is_error) == (mcp, True) and "Keep it" in after[2].content[
        0
    ].text


async def test_every_kind_of_event_is_valid(server: HostedServer, client: AsyncAnthropic) -> None:
    session_id = await new_session(client)
    server.script(
        [
            error("model_overloaded_error", "retrying"),
            rescheduled(),
            running(),
            usage_snapshot(),
            text("at last"),
        ],
        [error("model_rate_limited_error", "exhausted"), idle("retries_exhausted")],
        [idle("refusal", category="bio", explanation="I would rather not.")],
        [
            event("agent.thread_context_compacted"),
            event("session.thread_created", agent_name="scout", session_thread_id="sthr_1"),
            builtin_tool("web_fetch", result="blocked", permission="deny", is_error=True),
            raw({"type": "agent.of_the_future", "news": 1}),
            raw({"type": "session.status_idle", "stop_reason": {"type": "of_the_future"}}),
        ],
        [error("mcp_connection_failed_error", "terminal", mcp_server_name="files"), terminated()],
    )
    retried = types(await play(client, session_id))
    assert "session.status_rescheduled" in retried and retried[-1] == "session.status_idle"
    ends = [(await play(client, session_id))[-1].stop_reason.type for _ in range(3)]
    assert ends == ["retries_exhausted", "refusal", "of_the_future"]
    assert server.sessions[session_id].stop_reason == {"type": "of_the_future"}
    assert types(await play(client, session_id))[-2:] == ["session.error", "session.status_terminated"]
    with pytest.raises(anthropic.BadRequestError, match="terminated"):
        await client.beta.sessions.events.send(session_id, events=[message("again")])
    assert "agent.of_the_future" in types(
        [each async for each in client.beta.sessions.events.list(session_id)]
    )


async def test_lists_come_in_pages(server: HostedServer, client: AsyncAnthropic) -> None:
    server.page_size = 2
    sessions = [await new_session(client) for _ in range(5)]
    assert [each.id async for each in client.beta.sessions.list()] == sessions[::-1]
    assert len([each async for each in client.beta.agents.list()]) == 5
    assert len([each async for each in client.beta.environments.list()]) == 5
    await play(client, sessions[0])
    events = [each async for each in client.beta.sessions.events.list(sessions[0])]
    assert len(events) == len({each.id for each in events}) == len(server.sessions[sessions[0]].events) > 4
    assert len(server.seen("GET", "/events")) == (len(events) + 1) // 2
    first = await client.beta.sessions.events.list(sessions[0], types=["agent.message"])
    assert types(first.data) == ["agent.message"] and first.next_page is None


async def test_a_name_of_an_environment_is_taken_for_good(
    server: HostedServer, client: AsyncAnthropic
) -> None:
    first = await client.beta.environments.create(name="cloud")
    await client.beta.environments.archive(first.id)
    with pytest.raises(anthropic.ConflictError, match="exists already"):
        await client.beta.environments.create(name="cloud")
    assert [each.id async for each in client.beta.environments.list()] == []
    assert [each.id async for each in client.beta.environments.list(include_archived=True)] == [first.id]
    server.name_conflict = 500
    with pytest.raises(anthropic.InternalServerError):
        await client.beta.environments.create(name="cloud")
    await client.beta.environments.delete(first.id)
    await client.beta.environments.create(name="cloud")


async def test_what_the_api_refuses(server: HostedServer, client: AsyncAnthropic) -> None:
    session_id = await new_session(client)
    agent = (await client.beta.sessions.retrieve(session_id)).agent
    with pytest.raises(anthropic.BadRequestError, match="callable_agents"):
        await client.beta.agents.create(name="a", model="m", extra_body={"callable_agents": []})
    with pytest.raises(anthropic.BadRequestError, match="mcp_toolset"):
        url: Any = {"type": "url", "name": "files", "url": "http://127.0.0.1/"}
        await client.beta.agents.create(name="a", model="m", mcp_servers=[url])
    updated = await client.beta.agents.update(agent.id, version=1, name="renamed")
    assert (updated.name, updated.version, updated.system) == ("renamed", 2, "Be brief.")
    with pytest.raises(anthropic.ConflictError):
        await client.beta.agents.update(agent.id, version=1, name="late")
    assert (await client.beta.agents.update(agent.id, name="renamed")).version == 2
    assert (await client.beta.agents.retrieve(agent.id, version=1)).name == "helper"
    config: Any = {"type": "cloud", "networking": {"type": "limited"}, "packages": {"pip": ["pandas"]}}
    with pytest.raises(anthropic.BadRequestError, match="allow_package_managers"):
        await client.beta.environments.create(name="e", config=config)
    with pytest.raises(anthropic.NotFoundError):
        await client.beta.sessions.retrieve("sesn_none")
    with pytest.raises(anthropic.AuthenticationError):
        await client.with_options(api_key="wrong").beta.sessions.retrieve(session_id)
    with pytest.raises(anthropic.BadRequestError, match="anthropic-beta"):
        await client.beta.agents.list(extra_headers={"anthropic-beta": "other"})


async def test_budget_pauses_until_it_is_raised(server: HostedServer, client: AsyncAnthropic) -> None:
    session_id = await new_session(client, budget=BUDGET)
    update = client.beta.sessions.update
    server.script([request(builtin_tool("ls"), cents=6), text("Done")])
    paused = await play(client, session_id)
    assert types(paused)[-3:] == ["session.thread_status_idle", "session.usage", "session.status_idle"]
    assert paused[-1].stop_reason.type == "budget_reached"
    with pytest.raises(anthropic.BadRequestError, match="budget"):
        await client.beta.sessions.events.send(session_id, events=[message("more")])
    with pytest.raises(anthropic.BadRequestError, match="budget_not_raised"):
        await update(session_id, budget={**BUDGET, "max_list_cost": {"amount": "6", "currency": "USD"}})  # type: ignore[typeddict-item]
    await update(session_id, budget=None)
    await server.until(lambda: server.sessions[session_id].stop_reason == {"type": "end_turn"})
    assert "agent.message" in types([each async for each in client.beta.sessions.events.list(session_id)])
    with pytest.raises(anthropic.BadRequestError, match="budget_create_only"):
        await update(session_id, budget=BUDGET)  # type: ignore[arg-type]


async def test_interrupt_runs_on_until_it_is_applied(server: HostedServer, client: AsyncAnthropic) -> None:
    session_id = await new_session(client)
    work, apply = server.gate(), server.gate()
    server.interrupt_gate = apply
    server.script([request(text("Hello", deltas=2, pause=work))])
    stream = await client.beta.sessions.events.stream(session_id, event_deltas=PREVIEWS)
    async with stream:
        await client.beta.sessions.events.send(session_id, events=[message("go")])
        await server.until(lambda: work.reached)
        with pytest.raises(anthropic.BadRequestError, match="running"):
            await client.beta.sessions.delete(session_id)
        await client.beta.sessions.events.send(session_id, events=[{"type": "user.interrupt"}])
        await server.until(lambda: apply.reached)
        assert (await client.beta.sessions.retrieve(session_id)).status == "running"
        apply.open()
        seen = [each async for each in _until_idle(stream)]
    end = [
        "user.interrupt",
        "span.model_request_end",
        "user.interrupt",
        "session.usage",
        "session.status_idle",
    ]
    assert types(seen)[-5:] == end and seen[-1].stop_reason.type == "end_turn"
    async with await client.beta.sessions.events.stream(session_id) as stream:
        await client.beta.sessions.delete(session_id)
        assert types([each async for each in stream]) == ["session.deleted"]


async def _until_idle(stream: Any) -> AsyncIterator[Any]:
    async for each in stream:
        yield each
        if each.type == "session.status_idle":
            return


async def test_a_stream_can_be_cut_at_any_byte(server: HostedServer, client: AsyncAnthropic) -> None:
    await play(client, await new_session(client), previews=PREVIEWS)
    whole = len(server.streams[0].body)
    server.chunk_size = 7
    for offset in [*range(0, whole, 211), whole]:
        session_id = await new_session(client)
        server.cut(offset, reset=offset % 2 == 1)
        with pytest.raises(httpx2.TransportError):
            async with await client.beta.sessions.events.stream(session_id, event_deltas=PREVIEWS) as stream:
                await client.beta.sessions.events.send(session_id, events=[message("hi")])
                async for _ in stream:
                    pass
        assert len(server.streams[-1].body) == offset
        await server.until(lambda session_id=session_id: server.sessions[session_id].stop_reason)
        history = [each async for each in client.beta.sessions.events.list(session_id)]
        assert types(history)[-1] == "session.status_idle"


async def test_other_troubles_of_a_connection(server: HostedServer, client: AsyncAnthropic) -> None:
    session_id = await new_session(client)
    server.refuse(2, status=529)
    await client.beta.sessions.retrieve(session_id)
    assert [each.method for each in server.requests[-3:]] == ["GET"] * 3
    server.refuse(1, status=None)
    with pytest.raises(anthropic.APIConnectionError):
        await client.with_options(max_retries=0).beta.sessions.retrieve(session_id)
    server.script([sse(b"event: ping\ndata: {}\n\n"), text("Hello"), hang_up()])
    async with await client.beta.sessions.events.stream(session_id) as stream:
        await client.beta.sessions.events.send(session_id, events=[message("go")])
        assert types([each async for each in stream])[-1] == "span.model_request_end"
    await server.until(lambda: server.sessions[session_id].stop_reason)
    server.replay = 1
    async with await client.beta.sessions.events.stream(session_id) as stream:
        assert (await anext(aiter(stream))).type == "session.status_idle"
        server.script([sse(b'event: error\ndata: {"type": "error"}\n\n')])
        await client.beta.sessions.events.send(session_id, events=[message("go")])
        with pytest.raises(anthropic.APIStatusError):
            assert [each async for each in stream] == []


async def test_the_session_may_lag_behind_its_stream(server: HostedServer, client: AsyncAnthropic) -> None:
    session_id = await new_session(client)
    server.lag = 2
    await play(client, session_id)
    assert (await client.beta.sessions.retrieve(session_id)).status == "running"
    with pytest.raises(anthropic.BadRequestError, match="running"):
        await client.beta.sessions.archive(session_id)
    assert (await client.beta.sessions.archive(session_id)).status == "terminated"
    assert [each async for each in client.beta.sessions.list()] == []


async def test_messages_queue_and_sessions_start_at_work(
    server: HostedServer, client: AsyncAnthropic
) -> None:
    gate = server.gate()
    server.script([hold(gate), text("one")])
    session_id = await new_session(client, initial_events=[message("first")])
    await server.until(lambda: gate.reached)
    assert server.sessions[session_id].status == "running"
    await client.beta.sessions.events.send(session_id, events=[message("two")])
    *_, last = [each async for each in client.beta.sessions.events.list(session_id)]
    assert (last.type, last.processed_at) == ("user.message", None)
    gate.open()
    await server.until(lambda: server.sessions[session_id].status == "idle")
    answers = await client.beta.sessions.events.list(session_id, types=["agent.message"])
    assert [each.content[0].text for each in answers.data] == ["one", "two"]  # type: ignore[union-attr]


async def test_real_text_through_a_callable(server: HostedServer, client: AsyncAnthropic) -> None:
    async def count(messages: list[dict[str, str]]) -> AsyncIterator[str | Tokens]:
        yield f"{len(messages)} messages, "
        await asyncio.to_thread(lambda: None)
        yield messages[-1]["content"]
        yield Tokens(input=7, output=2)

    server.answer = count
    session_id = await new_session(client)
    await play(client, session_id)
    seen = await play(client, session_id, message("and now?"), previews=PREVIEWS)
    assert [each.delta.content.text for each in seen if each.type == "event_delta"] == [
        "4 messages, ",
        "and now?",
    ]
    assert (await client.beta.sessions.retrieve(session_id)).usage.input_tokens == 14


async def test_a_wrong_script_fails_the_test_that_plays_it() -> None:
    async def both(server: HostedServer) -> None:
        async with AsyncAnthropic(base_url=server.url, api_key=server.api_key) as client:
            assert types(await play(client, await new_session(client)))[-1] == "session.status_terminated"

    with pytest.raises(pydantic.ValidationError, match="stop_reason"):  # noqa: SIM117
        with HostedServer() as server:
            server.script([idle("tired")])
            await both(server)


def test_who_connects_as_the_server_ends_leaves_no_socket() -> None:
    clients: list[socket.socket] = []

    def connect() -> None:
        clients.append(socket.create_connection((url.host, url.port)))
        server.call_soon(server._stop.set)

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with HostedServer() as server:
            url = httpx2.URL(server.url)
            server.call_soon(connect)
            assert server._thread is not None
            server._thread.join()
        clients.pop().close()
        gc.collect()
    assert not [str(each.message) for each in told if each.category is ResourceWarning]
