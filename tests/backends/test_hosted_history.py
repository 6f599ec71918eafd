"""HostedAgent in a session with a past: replays, other clients, and turns that are still under way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from praison_nb import HostedAgent, LocalAgent, errors as e
from praison_nb.backends.base import Backend
from praison_nb.history import Call, Item, Result, Text, User
from praison_nb.runtime import loop
from praison_nb.session import Usage
from praison_nb.turn import ToolCall
from servers.hosted import (
    HostedServer,
    Session,
    ask,
    builtin_tool,
    hold,
    text,
    thinking,
)
from servers.hosted_agent import KEY, hosted, messages, play
from servers.waiting import until

EVENTS = "/events"


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def test_an_old_idle_in_a_replay_ends_nothing(server: HostedServer) -> None:
    first = hosted(server)
    play(first, "before")
    server.replay = 1000
    gate = server.gate()
    server.script([hold(gate), text("now")])
    second = hosted(server)
    assert first.session_id is not None
    second.resume_session(first.session_id)
    run = second.begin("again")
    server.wait_for(lambda: gate.reached)
    assert run.turn.ended is None
    gate.open()
    turn = run.wait()
    assert turn.text == "now" and turn.usage == Usage(uncached_input_tokens=10, output_tokens=5)
    assert second.agent_id == first.agent_id and second.environment_id == first.environment_id
    assert turn.session_usage is not None and turn.session_usage.usage.input_tokens == 20


def test_an_idle_of_somebody_elses_turn_ends_nothing(server: HostedServer) -> None:
    """Another client used the session; a late stream replays its events, which we have never seen."""
    ours, theirs = hosted(server), hosted(server)
    play(ours, "one")
    assert ours.session_id is not None
    theirs.resume_session(ours.session_id)
    play(theirs, "two")
    server.replay = 1000
    turn, _ = play(ours, "three")
    assert turn.text.endswith("three") and turn.stop_reason == "end_turn"


def test_a_resumed_session_that_still_works_is_waited_for(server: HostedServer) -> None:
    gate = server.gate()
    server.script([text("old"), hold(gate), text("rest of old")], [text("new")])
    first = hosted(server)
    old = first.begin("one")
    until(old, lambda turn: turn.text == "old")
    second = hosted(server)
    assert first.session_id is not None
    second.resume_session(first.session_id)
    run = second.begin("two")
    until(run, lambda turn: "waiting" in turn.activity)
    assert messages(server) == ["one"]
    gate.open()
    assert run.wait().text == "rest of old\n\nnew" and old.wait().text == "old\n\nrest of old"
    assert messages(server) == ["one", "two"]


def test_a_resumed_session_that_waits_for_a_yes_asks_again(server: HostedServer) -> None:
    server.script([ask(builtin_tool("rm", {"path": "x"}, result="gone")), text("done")], [text("new")])
    first = hosted(server)
    until(first.begin("one"), lambda turn: turn.waiting)
    second = hosted(server)
    assert first.session_id is not None
    second.resume_session(first.session_id)
    run = second.begin("two")
    waiting = until(run, lambda turn: turn.waiting).waiting
    assert [(call.name, call.arguments) for call in waiting] == [("rm", '{"path": "x"}')]
    run.approve(waiting[0].id)
    turn = run.wait()
    assert (
        turn.text == "done\n\nnew" and turn.tools[0].approval == "allowed" and turn.tools[0].result == "gone"
    )
    assert first.session.run is not None and first.session.run.wait().text == "done"


def test_a_session_that_nobody_knows(server: HostedServer) -> None:
    agent = hosted(server)
    agent.resume_session("sesn_nowhere")
    turn, _ = play(agent)
    assert isinstance(turn.error, e.ModelNotFoundError) and "sesn_nowhere" in str(turn.error)
    assert (
        agent.retrieve_session()["status"] == "unknown" and agent.retrieve_session()["id"] == "sesn_nowhere"
    )


def test_a_session_that_is_deleted_in_mid_turn(server: HostedServer) -> None:
    gate = server.gate()
    server.script([text("half"), hold(gate)])
    agent = hosted(server)
    run = agent.begin("Hi")
    until(run, lambda turn: turn.text == "half")

    def delete() -> None:
        session = next(iter(server.sessions.values()))
        session.emit({"type": "session.deleted"})
        session.send("end")
        server.sessions.clear()

    server.call(delete)
    turn = run.wait()
    assert isinstance(turn.error, e.SessionError) and "deleted" in str(turn.error)
    gate.open()


def test_an_idle_before_our_message_is_looked_up(
    server: HostedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a stream that does not repeat what clients send, the history says whose idle it is."""
    send = Session.send

    def without_users(self: Session, data: Any) -> None:
        if not (isinstance(data, bytes) and data.startswith(b"event: user.")):
            send(self, data)

    monkeypatch.setattr(Session, "send", without_users)
    turn, _ = play(hosted(server), "one")
    assert turn.text == "one" and turn.stop_reason == "end_turn"
    assert len(server.seen("GET", EVENTS)) == 1


@pytest.mark.parametrize("tells_running", [True, False])
def test_a_server_that_never_says_when_it_deals_with_a_message(
    server: HostedServer, monkeypatch: pytest.MonkeyPatch, tells_running: bool
) -> None:
    emit = Session.emit

    def unprocessed(self: Session, event: dict[str, Any], **options: Any) -> dict[str, Any]:
        if event["type"] == "user.message":
            event = {**event, "processed_at": None}
        if event["type"] == "session.status_running" and not tells_running:
            self.status = "running"
            return event
        return emit(self, event, **options)

    monkeypatch.setattr(Session, "emit", unprocessed)
    agent = hosted(server)
    for prompt in ("one", "two"):
        turn, _ = play(agent, prompt)
        assert turn.text == prompt and turn.stop_reason == "end_turn"
        assert turn.usage == Usage(uncached_input_tokens=10, output_tokens=5)


# What was said


def said(agent: Backend) -> list[Item]:
    reading = agent.read_messages(agent.session)
    return asyncio.run_coroutine_threadsafe(reading, loop.get()).result(60)


def test_what_was_said_is_read(server: HostedServer) -> None:
    server.page_size = 2
    server.script([thinking(), builtin_tool("ls", result="a"), text("one ", "more"), text("two")], [text("")])
    first = hosted(server)
    turns = [play(first, prompt)[0] for prompt in ("Hi", "Silence", "Hi again")]
    second = hosted(server)
    assert said(second) == [] and first.session_id is not None
    second.resume_session(first.session_id)
    told = said(second)
    use, result = told[1:3]
    assert isinstance(use, Call) and isinstance(result, Result)
    assert (use.name, use.arguments, use.id) == ("ls", "{}", result.call_id)
    assert (result.text, result.is_error) == ("a", False)
    assert [(type(each), each.text) for each in [told[0], *told[3:]] if isinstance(each, User | Text)] == [
        (User, "Hi"),
        (Text, "one more"),
        (Text, "two"),
        (User, "Silence"),
        (User, "Hi again"),
        (Text, "Hi again"),
    ]
    # A turn knows its messages and calls by the same ids.
    known = [item.id for turn in turns for item in turn.items if isinstance(item, ToolCall) or item.text]
    assert [each.id for each in told if isinstance(each, Text | Call)] == known
    assert second.session.messages == [] and second.retrieve_session()["id"] == first.session_id


def test_what_is_no_text_is_named(server: HostedServer) -> None:
    first = hosted(server)
    play(first)
    image = {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}
    content = [{"type": "text", "text": "Look: "}, image]

    async def send() -> None:
        event: Any = {"type": "user.message", "content": content}
        await first.client().beta.sessions.events.send(str(first.session_id), events=[event])

    asyncio.run_coroutine_threadsafe(send(), loop.get()).result(60)
    server.wait_for(lambda: len(messages(server)) == 2)
    assert [each.text for each in said(first) if isinstance(each, User)] == ["Hi", "Look: [image]"]


def test_what_was_said_cannot_be_read(server: HostedServer) -> None:
    agent = hosted(server)
    agent.resume_session("sesn_nowhere")
    with pytest.raises(e.ModelNotFoundError, match="sesn_nowhere"):
        said(agent)
    server.refuse(2, status=401, message=f"bad key {KEY}")
    with pytest.raises(e.AuthenticationError) as caught:
        said(agent)
    assert KEY not in str(caught.value)
    agent = hosted(server, api_key=None)
    agent.resume_session("sesn_nowhere")
    with pytest.raises(e.MissingKeyError):
        said(agent)


def test_without_a_server_of_its_own_a_session_is_all_here() -> None:
    assert said(LocalAgent()) == [] and said(HostedAgent()) == []
