"""HostedAgent when the user stops it, in every state: the session is told, and can be used again."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from praison_nb import HostedAgent, Turn
from praison_nb.session import Usage
from praison_nb.turn import ToolCall
from servers.hosted import (
    HostedServer,
    ask,
    builtin_tool,
    custom_tool,
    hold,
    request,
    text,
)
from servers.hosted_agent import hosted, sent
from servers.waiting import until

RM = builtin_tool("rm", {"path": "x"}, result="gone")


def drained(agent: HostedAgent) -> None:
    """Wait until a stopped turn has left the session: the next one runs after it."""
    assert agent.begin("next").wait().text == "next"


def test_a_stop_while_it_writes(server: HostedServer) -> None:
    gate = server.gate()
    server.script([text("Hello, world", deltas=2, pause=gate)])
    agent = hosted(server)
    run = agent.begin("Hi")
    until(run, lambda turn: turn.text == "Hello,")
    run.stop()
    turn = run.wait()
    assert (turn.stop_reason, turn.text, turn.error) == ("interrupted", "Hello,", None)
    drained(agent)
    assert run.turn.usage == Usage(uncached_input_tokens=10, output_tokens=5) and run.turn.text == "Hello,"
    assert run.turn.session_usage is not None and run.turn.session_usage.usage.output_tokens == 5
    assert len(sent(server, "user.interrupt")) == 1
    assert agent.retrieve_session()["status"] == "idle"


def test_a_stop_that_is_applied_late_ends_the_turn_at_once(server: HostedServer) -> None:
    pause, late = server.gate(), server.gate()
    server.interrupt_gate = late
    server.script([text("Hello, world", deltas=2, pause=pause)])
    agent = hosted(server)
    run = agent.begin("Hi")
    until(run, lambda turn: turn.text)
    run.stop()
    assert run.wait().stop_reason == "interrupted"
    assert agent.retrieve_session()["status"] in ("running", "idle")
    server.wait_for(lambda: late.reached)
    after = agent.begin("next")
    until(after, lambda turn: "waiting" in turn.activity)
    late.open()
    assert after.wait().text == "next" and after.turn.usage == run.turn.usage


def test_a_stop_while_it_asks_means_no(server: HostedServer) -> None:
    server.script([request(ask(RM), ask(RM)), text("done")])
    agent = hosted(server)
    run = agent.begin("Hi")
    asked = until(run, lambda turn: len(turn.waiting) == 2).waiting
    run.stop()
    turn = run.wait()
    assert turn.stop_reason == "interrupted" and not turn.waiting
    drained(agent)
    answers = sent(server, "user.tool_confirmation")
    assert {each["tool_use_id"] for each in answers} == {call.id for call in asked}
    assert {each["result"] for each in answers} == {"deny"}
    assert [call.approval for call in run.turn.tools] == ["denied", "denied"]


def test_a_stop_while_a_callback_decides_means_no(server: HostedServer) -> None:
    server.script([ask(RM), text("done")])
    entered = threading.Event()

    async def never(call: ToolCall) -> bool:
        entered.set()
        await asyncio.Event().wait()
        return True

    agent = hosted(server, on_tool_confirmation=never)
    run = agent.begin("Hi", caller_waits=False)
    assert entered.wait(60)
    run.stop()
    assert run.wait().stop_reason == "interrupted"
    drained(agent)
    assert [each["result"] for each in sent(server, "user.tool_confirmation")] == ["deny"]


def test_a_stop_while_a_function_runs(server: HostedServer) -> None:
    entered = threading.Event()

    async def forever() -> None:
        """Never ends."""
        entered.set()
        await asyncio.Event().wait()

    server.script([custom_tool("forever"), text("done")])
    agent = hosted(server, tools=[forever])
    run = agent.begin("Hi", caller_waits=False)
    assert entered.wait(60)
    run.stop()
    assert run.wait().stop_reason == "interrupted"
    drained(agent)
    (result,) = sent(server, "user.custom_tool_result")
    assert result["is_error"] and result["content"][0]["text"] == "The user stopped the turn."
    assert run.turn.tools[0].is_error


class Slow(HostedServer):
    """Stands at a gate before it answers the requests to one path."""

    at = ""

    def __init__(self) -> None:
        super().__init__()
        self.slow = self.gate()

    async def body(self, request: Any) -> Any:
        data = await super().body(request)
        if request.method == "POST" and request.path.endswith(self.at):
            await self.slow.passed()
        return data


@pytest.mark.parametrize("at", ["/agents", "/environments", "/sessions"])
def test_a_stop_before_anything_is_sent_sends_nothing_and_forgets_nothing(at: str) -> None:
    with Slow() as server:
        server.at = at
        agent = hosted(server)
        run = agent.begin("Hi")
        server.wait_for(lambda: server.slow.reached)
        run.stop()
        assert run.wait().stop_reason == "interrupted"
        assert not sent(server, "user.message")
        server.slow.open()
        assert agent.begin("next").wait().text == "next"
        created = [each.path for each in server.requests if each.method == "POST"]
        assert created == ["/v1/environments", "/v1/agents", "/v1/sessions", created[3]]
        assert [each["content"][0]["text"] for each in sent(server, "user.message")] == ["next"]


def test_a_stop_while_the_message_is_on_its_way(server: HostedServer) -> None:
    with Slow() as server:
        server.at = "/events"
        agent = hosted(server)
        run = agent.begin("Hi")
        server.wait_for(lambda: server.slow.reached)
        run.stop()
        assert run.wait().stop_reason == "interrupted"
        server.slow.open()
        drained(agent)
        assert [each["content"][0]["text"] for each in sent(server, "user.message")] == ["Hi", "next"]
        assert len(sent(server, "user.interrupt")) == 1


def test_a_stop_while_a_message_is_refused_does_not_send_it_again(server: HostedServer) -> None:
    agent = hosted(server)
    agent.backoff_seconds = (0.05, 0.05)
    agent.begin("first").wait()
    server.refuse(10_000, status=503, method="POST", path="/events")
    run = agent.begin("Hi")
    until(run, lambda turn: turn.activity == "reconnecting")
    run.stop()
    assert run.wait().stop_reason == "interrupted"
    server.wait_for(lambda: not next(iter(server.sessions.values())).subscribers)
    server.call(lambda: [setattr(each, "times", 0) for each in server._refusals])
    drained(agent)
    assert [each["content"][0]["text"] for each in sent(server, "user.message")] == ["first", "next"]


def test_a_stop_while_the_connection_is_lost(server: HostedServer) -> None:
    gate = server.gate()
    server.script([text("half"), hold(gate)])
    agent = hosted(server)
    run = agent.begin("Hi")
    until(run, lambda turn: turn.text == "half")
    server.refuse(20, status=503, path="/events")
    server.call(lambda: server.sessions[run.turn.session_id].send("reset"))
    until(run, lambda turn: turn.activity == "reconnecting")
    run.stop()
    turn = run.wait()
    assert turn.stop_reason == "interrupted" and turn.text == "half"
    drained(agent)
    assert len(sent(server, "user.interrupt")) == 1
    assert run.turn.usage == Usage(uncached_input_tokens=10, output_tokens=5)


def test_a_stop_from_another_client_ends_the_turn(server: HostedServer) -> None:
    gate = server.gate()
    server.script([text("half"), hold(gate)])
    run = hosted(server).begin("Hi")
    until(run, lambda turn: turn.text == "half")
    server.call(lambda: server.sessions[run.turn.session_id].receive([{"type": "user.interrupt"}]))
    turn = run.wait()
    assert (turn.stop_reason, turn.text) == ("interrupted", "half") and "another client" in turn.detail


def test_a_budget_of_the_turn_interrupts_the_session(server: HostedServer) -> None:
    from decimal import Decimal

    gate = server.gate()
    server.script([request(text("one")), request(text("two")), hold(gate)])
    agent = hosted(server)
    run = agent.begin("Hi", budget=Decimal("0.0000001"))
    turn = run.wait()
    assert turn.stop_reason == "budget_reached" and "two" not in turn.text
    drained(agent)
    assert len(sent(server, "user.interrupt")) == 1
    assert isinstance(run.turn, Turn) and run.turn.usage.output_tokens >= 5


def test_a_stop_while_a_resumed_session_still_works_stops_that(server: HostedServer) -> None:
    gate = server.gate()
    server.script([text("old"), hold(gate)])
    first, second = hosted(server), hosted(server)
    old = first.begin("one")
    until(old, lambda turn: turn.text == "old")
    second.resume_session(old.turn.session_id)
    run = second.begin("two")
    until(run, lambda turn: "waiting" in turn.activity)
    run.stop()
    assert run.wait().stop_reason == "interrupted"
    assert old.wait().stop_reason == "interrupted"
    drained(second)
    assert [each["content"][0]["text"] for each in sent(server, "user.message")] == ["one", "next"]
