"""HostedAgent when the session waits for what it names or not, when it is stopped, and when it has ended."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from praison_nb.backends import silence
from praison_nb.backends.hosted.turn import HostedTurn
from praison_nb.events import SessionUsage, TurnFinished
from praison_nb.turn import Turn
from servers.hosted import (
    HostedServer,
    Manners,
    Session,
    ask,
    builtin_tool,
    custom_tool,
    event,
    hold,
    mcp_tool,
    raw,
    request,
    running,
    text,
)
from servers.hosted_agent import hosted, play, sent
from servers.hosted_contents import Call
from servers.hosted_threads import Thread
from servers.waiting import until

RM = builtin_tool("rm", {"path": "x"}, result="gone")
USE = {"type": "agent.tool_use", "id": "sevt_900001", "name": "rm", "input": {"path": "x"}}
THREAD = {"session_thread_id": "sthr_1", "agent_name": "scout"}


@pytest.mark.parametrize("tool", [RM, mcp_tool("github", "push", {"force": True}, result="gone")])
@pytest.mark.parametrize("answer", ["allow", "deny"])
def test_a_tool_without_a_permission_is_asked_about(server: HostedServer, tool: Any, answer: str) -> None:
    server.manners.tells_permission = False
    server.script([request(builtin_tool("ls", result="x"), ask(tool)), text("done")])
    run = hosted(server).begin("Hi")
    (call,) = until(run, lambda turn: turn.waiting).waiting
    run.approve(call.id) if answer == "allow" else run.deny(call.id)
    assert run.wait().text == "done" and len(run.turn.tools) == 2
    assert [each["result"] for each in sent(server, "user.tool_confirmation")] == [answer]


def test_the_reason_of_an_automatic_permission_is_shown(server: HostedServer) -> None:
    judged = {"type": "auto", "evaluated_permission": {"type": "ask", "reason_code": "indeterminate"}}
    server.script([ask(builtin_tool("rm", {"path": "x"}, result="gone", evaluation=judged)), text("done")])
    run = hosted(server).begin("Hi")
    (call,) = until(run, lambda turn: turn.waiting).waiting
    run.approve(call.id)
    assert run.wait().text == "done" and "rm asks" in run.turn.notices[0]
    assert "indeterminate" in run.turn.notices[0]


def test_a_call_that_the_server_denies_says_why(server: HostedServer) -> None:
    judged = {"type": "auto", "evaluated_permission": {"type": "deny", "reason_code": "high_risk"}}
    fields = {"name": "bash", "input": {"command": "rm -rf /"}, "evaluated_permission": "deny"}
    use = Call(type="agent.tool_use", fields={**fields, "evaluation": judged}, result="No.", is_error=True)
    server.script([use, text("It may not.")])
    turn = hosted(server).begin("Hi").wait()
    assert turn.text == "It may not." and turn.tools[0].result == "No."
    assert turn.notices == ("bash was not run: the server's own judgement denied it (high_risk).",)


@pytest.mark.parametrize("place", ["history", "thread"])
def test_a_call_that_was_never_on_the_stream_is_looked_up(server: HostedServer, place: str) -> None:
    async def unseen(session: Session) -> None:
        use = {**USE, "evaluated_permission": "ask", "processed_at": server.now()}
        scout = Thread("sthr_1", "scout", events=[use])
        session.threads = [Thread("sthr_0", "idler"), scout]
        if place == "history":
            session.events.append(use)
        await session.require([use])

    server.page_size = 2
    server.manners.takes_threads = True
    server.script([text("first"), unseen, text("done")])
    run = hosted(server).begin("Hi")
    (call,) = until(run, lambda turn: turn.waiting).waiting
    assert (call.name, call.arguments) == ("rm", '{"path": "x"}')
    run.approve(call.id)
    assert run.wait().text == "first\n\ndone" and not run.turn.notices
    assert server.echoed_threads == (["sthr_1"] if place == "thread" else [])


@pytest.mark.parametrize("takes_threads", [True, False])
@pytest.mark.parametrize("is_session_idle", [True, False])
def test_a_sub_agents_call_is_answered_with_its_thread(
    server: HostedServer, takes_threads: bool, is_session_idle: bool
) -> None:
    """Where the server has no room for the thread, the answer arrives without."""
    server.manners.takes_threads = takes_threads
    add = {"type": "agent.custom_tool_use", "id": "sevt_900002", "name": "add", "input": {"a": 1}}
    uses = [{**each, "session_thread_id": "sthr_1"} for each in ({**USE, "evaluated_permission": "ask"}, add)]

    async def cross_posted(session: Session) -> None:
        for use in uses:
            session.emit(use)
        if is_session_idle:
            await session.require(uses)
            return
        # Others are at work: only the thread is idle.
        session.pending = {use["id"]: use for use in uses}
        reason = {"type": "requires_action", "event_ids": list(session.pending)}
        session.emit({"type": "session.thread_status_idle", "stop_reason": reason, **THREAD})
        await server.holds(lambda: not session.pending)

    server.script([event("session.thread_created", **THREAD), cross_posted, text("done")])
    run = hosted(server, tools=[lambda_add]).begin("Hi", caller_waits=False)
    (call,) = until(run, lambda turn: turn.waiting).waiting
    run.approve(call.id)
    turn = run.wait()
    assert turn.text == "done" and turn.tools[1].result == "2" and not turn.notices
    assert server.echoed_threads == (["sthr_1"] * 2 if takes_threads else [])


def lambda_add(a: int) -> int:
    """Add one."""
    return a + 1


lambda_add.__name__ = "add"


@pytest.mark.parametrize(
    ("waiting", "named", "line"),
    [
        ({**USE, "type": "agent.oracle_use"}, ["sevt_900001"], "agent.oracle_use (sevt_900001)"),
        (None, ["sevt_7"], "an event (sevt_7)"),
        (None, [], "does not name"),
        ({**USE, "evaluated_permission": "allow"}, ["sevt_900001"], "the tool rm"),
    ],
)
def test_what_cannot_be_answered_here_is_named(
    server: HostedServer, waiting: Any, named: list[str], line: str
) -> None:
    gate = server.gate()
    wait = {"type": "requires_action", "event_ids": named}
    steps = [raw(waiting)] if waiting else []
    server.script(
        [
            *steps,
            raw({"type": "session.status_idle", "stop_reason": wait}),
            hold(gate),
            running(),
            text("done"),
        ]
    )
    run = hosted(server).begin("Hi")
    turn = until(run, lambda turn: turn.notices)
    assert line in turn.notices[0] and "stop" in turn.notices[0] and turn.ended is None
    gate.open()
    turn = run.wait()
    assert turn.text == "done" and len(turn.notices) == 1


def test_a_call_that_was_answered_meanwhile_is_not_asked_about(server: HostedServer) -> None:
    gate = server.gate()
    answer = {"type": "user.tool_confirmation", "tool_use_id": "sevt_900001", "result": "allow"}

    async def answered(session: Session) -> None:
        session.events += [{**USE, "processed_at": server.now()}]
        session.events += [{**answer, "id": "sevt_900003", "processed_at": server.now()}]

    wait = {"type": "requires_action", "event_ids": ["sevt_900001"]}
    server.script(
        [
            answered,
            raw({"type": "session.status_idle", "stop_reason": wait}),
            hold(gate),
            running(),
            text("done"),
        ]
    )
    run = hosted(server).begin("Hi")
    until(run, lambda turn: turn.tools)
    gate.open()
    turn = run.wait()
    assert turn.text == "done" and not turn.notices and turn.tools[0].approval == ""


# A stop


@pytest.mark.parametrize("mixed_status", [0, 400, 500])
def test_a_stop_while_tools_ask_is_sent_as_the_server_takes_it(
    server: HostedServer, mixed_status: int
) -> None:
    server.manners.mixed_status = mixed_status
    never = server.gate()
    server.script([request(ask(RM), ask(RM), custom_tool("theirs")), hold(never), text("too much")])
    agent = hosted(server)
    run = agent.begin("Hi")
    until(run, lambda turn: len(turn.waiting) == 2)
    run.stop()
    assert run.wait().stop_reason == "interrupted"
    assert agent.begin("next").wait().text == "next"
    assert [each["result"] for each in sent(server, "user.tool_confirmation")] == ["deny", "deny"]
    assert len(sent(server, "user.interrupt")) == 1 and not never.is_open


# The end


class SlowToCount(HostedServer):
    """Stands at a gate before it says what a session used."""

    def __init__(self) -> None:
        super().__init__()
        self.counting = self.gate()

    def route(self, method: str, path: str, handler: Any, *betas: Any) -> None:
        async def slow(request: Any) -> Any:
            await self.counting.passed()
            return await handler(request)

        is_count = (method, path) == ("GET", "/v1/sessions/{id}")
        super().route(method, path, slow if is_count else handler, *betas)


@pytest.mark.parametrize("usage_event", [True, False])
def test_a_turn_ends_with_its_end_and_its_usage_follows(usage_event: bool) -> None:
    with SlowToCount() as server:
        server.manners = Manners(usage_event=usage_event)
        server.script([request(text("one"), cents=300, seconds=36.0)])
        agent = hosted(server)
        kinds: list[type] = []
        run = agent.begin("Hi", subscribers=(lambda event, turn: kinds.append(type(event)),))
        turn = run.wait()
        assert (turn.text, turn.stop_reason) == ("one", "end_turn")
        server.wait_for(lambda: server.counting.reached)
        run.stop()
        agent.interrupt()
        server.counting.open()
        turn = until(run, lambda turn: SessionUsage in kinds[kinds.index(TurnFinished) :])
        assert turn.session_usage is not None and turn.session_usage.active_seconds == 36.0
        assert turn.cost == 3 and turn.stop_reason == "end_turn" and not sent(server, "user.interrupt")


@pytest.mark.parametrize("usage_event", [True, False])
def test_the_next_turn_waits_for_no_usage_and_nothing_is_counted_twice(usage_event: bool) -> None:
    with SlowToCount() as server:
        server.manners = Manners(usage_event=usage_event)
        server.script(*([request(text(each), cents=300, seconds=36.0)] for each in ("one", "two", "three")))
        agent = hosted(server)
        turns: list[Turn] = []
        runs = [agent.begin(each) for each in ("a", "b", "c")]
        turns = [run.wait() for run in runs]
        assert [turn.text for turn in turns] == ["one", "two", "three"]
        server.counting.open()
        last = until(runs[2], lambda turn: turn.session_usage and turn.session_usage.active_seconds == 108.0)
        assert sum(run.turn.known_cost for run in runs) == 9 and last.cost is not None


def test_usage_that_lags_behind_the_stream_changes_nothing(server: HostedServer) -> None:
    behind: list[Any] = []
    to_dict = Session.to_dict

    def old(self: Session, status: str | None = None) -> Any:
        behind.append(None)
        return {**to_dict(self, status), "usage": {}}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "to_dict", old)
        agent = hosted(server)
        turn, _ = play(agent)
        server.wait_for(lambda: len(behind) >= 2)
        assert agent.begin("next").wait().session_usage.usage.output_tokens == 10  # type: ignore[union-attr]
        assert turn.session_usage is not None and turn.session_usage.usage.output_tokens == 5


def test_a_session_that_says_nothing_for_long_is_reported(
    server: HostedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "SILENCE", 0.05)
    monkeypatch.setattr(silence, "LOOK", 0.02)
    gate, seen, looks = server.gate(), list[str](), threading.Semaphore(0)
    progress = HostedTurn._progress
    monkeypatch.setattr(HostedTurn, "_progress", lambda self: (looks.release(), progress(self))[1])
    server.script([request(ask(RM)), running(), hold(gate), text("done")])
    run = hosted(server).begin("Hi")
    run.subscribe(lambda event, turn: seen.append(turn.activity))
    (call,) = until(run, lambda turn: turn.waiting).waiting
    # Meanwhile it is the session that waits.
    while looks.acquire(blocking=False):
        pass
    assert all(looks.acquire(timeout=10) for _ in range(6))
    assert not any(each.startswith("nothing") for each in seen)
    run.approve(call.id)
    until(run, lambda turn: turn.activity.startswith("nothing for"))
    gate.open()
    assert run.wait().text == "done" and not run.turn.activity
