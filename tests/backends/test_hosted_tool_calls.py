"""HostedAgent when the session asks: approvals and Python functions."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from praison_nb import Agent
from praison_nb.events import ApprovalAsked, Event
from praison_nb.session import Status
from praison_nb.turn import ToolCall
from servers.hosted import (
    HostedServer,
    ask,
    builtin_tool,
    custom_tool,
    hold,
    mcp_tool,
    raw,
    request,
    text,
)
from servers.hosted_agent import hosted, sent
from servers.waiting import until

RM = builtin_tool("rm", {"path": "x"}, result="gone")


# A yes or a no


@pytest.mark.parametrize("tool", [RM, mcp_tool("github", "push", {"force": True}, result="gone")])
def test_a_yes(server: HostedServer, tool: Any) -> None:
    server.script([ask(tool), text("done")])
    run = hosted(server).begin("Hi")
    (call,) = until(run, lambda turn: turn.waiting).waiting
    assert run.turn.status is Status.RUNNING and (call.name, call.approval) == (tool.fields["name"], "asked")
    run.approve(call.id)
    turn = run.wait()
    assert turn.text == "done" and turn.tools[0].approval == "allowed" and turn.tools[0].result == "gone"
    assert sent(server, "user.tool_confirmation") == [{"result": "allow", "tool_use_id": call.id}]


def test_a_no_tells_the_model_why(server: HostedServer) -> None:
    server.script([ask(RM), text("as you like")])
    run = hosted(server).begin("Hi")
    (call,) = until(run, lambda turn: turn.waiting).waiting
    run.deny(call.id, "Not that one.")
    turn = run.wait()
    assert turn.tools[0].approval == "denied" and turn.tools[0].result == "Denied. Not that one."
    assert turn.text == "as you like" and turn.tools[0].is_error
    told = {"result": "deny", "tool_use_id": call.id, "deny_message": "Not that one."}
    assert sent(server, "user.tool_confirmation") == [told]


def test_a_word_that_nobody_knows_is_asked_about(server: HostedServer) -> None:
    use = {"type": "agent.tool_use", "id": "sevt_900001", "name": "rm", "input": {}}
    wait = {"type": "requires_action", "event_ids": ["sevt_900001"]}
    gate = server.gate()
    server.script(
        [
            raw({**use, "evaluated_permission": "perhaps"}),
            raw({"type": "session.status_idle", "stop_reason": wait}),
            hold(gate),
        ]
    )
    run = hosted(server).begin("Hi")
    assert [call.name for call in until(run, lambda turn: turn.waiting).waiting] == ["rm"]
    run.stop()
    run.wait()


def test_several_are_answered_one_by_one(server: HostedServer) -> None:
    server.script([request(ask(RM), ask(RM), ask(RM)), text("done")])
    agent = hosted(server)
    run = agent.begin("Hi")
    asked = until(run, lambda turn: len(turn.waiting) == 3).waiting
    run.deny(asked[1].id, "no")
    until(run, lambda turn: len(turn.waiting) == 2)
    server.wait_for(lambda: len(sent(server, "user.tool_confirmation")) == 1)
    run.approve(asked[2].id)
    run.approve(asked[0].id)
    turn = run.wait()
    assert turn.text == "done" and [call.approval for call in turn.tools] == ["allowed", "denied", "allowed"]
    answers = {each["tool_use_id"]: each["result"] for each in sent(server, "user.tool_confirmation")}
    assert answers == {asked[0].id: "allow", asked[1].id: "deny", asked[2].id: "allow"}
    session = server.sessions[turn.session_id]
    assert len([each for each in session.events if each["type"] == "user.tool_confirmation"]) == 3


def test_a_turn_waits_through_lost_connections(server: HostedServer) -> None:
    server.script([request(ask(RM), ask(RM)), text("done")])
    told: list[Event] = []
    run = hosted(server).begin("Hi", subscribers=(lambda event, turn: told.append(event),))
    asked = until(run, lambda turn: len(turn.waiting) == 2).waiting
    for _ in range(3):
        streams = len(server.streams)
        server.call(lambda: server.sessions[run.turn.session_id].send("close"))
        server.wait_for(lambda count=streams: len(server.streams) > count)
    run.approve(asked[0].id)
    until(run, lambda turn: len(turn.waiting) == 1)
    run.approve(asked[1].id)
    turn = run.wait()
    assert turn.text == "done" and [call.result for call in turn.tools] == ["gone", "gone"]
    assert len([event for event in told if isinstance(event, ApprovalAsked)]) == 2


def test_another_client_may_answer(server: HostedServer) -> None:
    server.script([ask(RM), text("done")])
    run = hosted(server).begin("Hi")
    (call,) = until(run, lambda turn: turn.waiting).waiting
    answer = {"type": "user.tool_confirmation", "tool_use_id": call.id, "result": "deny"}
    server.call(lambda: server.sessions[run.turn.session_id].receive([answer]))
    turn = run.wait()
    assert turn.tools[0].approval == "denied" and turn.text == "done" and not turn.notices
    assert len(sent(server, "user.tool_confirmation")) == 1


async def yes_later(call: ToolCall) -> bool:
    await asyncio.sleep(0)
    return True


def broken(call: ToolCall) -> bool:
    raise ValueError("sk-not-for-the-log")


@pytest.mark.parametrize(
    ("callback", "message"),
    [
        (lambda call: True, None),
        (yes_later, None),
        (lambda call: yes_later(call), None),
        (lambda call: False, "The user said no."),
        (lambda call: f"not {call.name} {call.arguments}", 'not rm {"path": "x"}'),
        (lambda call: 1, "The user said no."),
        (lambda call: None, "The user said no."),
        (broken, "The user said no."),
    ],
)
def test_a_callback_decides(
    server: HostedServer,
    callback: Callable[..., Any],
    message: str | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server.script([ask(RM), text("done")])
    turn = hosted(server, on_tool_confirmation=callback).begin("Hi").wait()
    (answer,) = sent(server, "user.tool_confirmation")
    assert answer["result"] == ("allow" if message is None else "deny")
    assert answer.get("deny_message") == message
    assert turn.text == "done" and turn.tools[0].approval == ("allowed" if message is None else "denied")
    assert "sk-not" not in caplog.text


def test_what_was_allowed_for_the_session_is_not_asked_again(server: HostedServer) -> None:
    server.script([ask(RM), text("one")], [ask(RM), text("two")])
    agent = hosted(server)
    run = agent.begin("Hi")
    (call,) = until(run, lambda turn: turn.waiting).waiting
    run.approve(call.id, for_session=True)
    assert run.wait().text == "one" and agent.begin("Hi").wait().text == "two"


# Functions


def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


async def slow(name: str) -> str:
    """Greet."""
    await asyncio.sleep(0)
    return f"Hello {name}"


def fail() -> None:
    """It does not work."""
    raise LookupError("no such thing")


def nothing() -> str:
    """Nothing."""
    return ""


def test_functions_are_declared_and_run_here(server: HostedServer) -> None:
    uses = [
        custom_tool("add", {"a": 1, "b": 2}),
        custom_tool("slow", {"name": "you"}),
        custom_tool("fail"),
        custom_tool("add", {"a": "one"}),
        custom_tool("nothing"),
    ]
    server.script([request(*uses), text("done")])
    agent = hosted(server, tools=[add, slow, fail, nothing])
    turn = agent.begin("Hi").wait()
    declared = server.seen("POST", "/v1/agents")[0].json["tools"]
    assert [tool["name"] for tool in declared] == ["add", "slow", "fail", "nothing"]
    assert (
        declared[0]["input_schema"]["required"] == ["a"] and declared[0]["description"] == "Add two numbers."
    )
    results = {each["custom_tool_use_id"]: each for each in sent(server, "user.custom_tool_result")}
    told = [(results[call.id]["content"][0]["text"], results[call.id]["is_error"]) for call in turn.tools]
    assert told[0] == ("3", False) and told[1] == ("Hello you", False) and told[4] == ("(nothing)", False)
    assert told[2] == ("LookupError: no such thing", True)
    assert told[3][1] and told[3][0].startswith("The arguments do not fit: a:")
    assert [call.is_error for call in turn.tools] == [False, False, True, True, False]
    assert turn.text == "done" and turn.tools[0].runs == "function" and turn.tools[4].result == ""


def test_a_function_runs_on_the_waiting_thread(server: HostedServer) -> None:
    threads = []

    def where() -> str:
        """Where."""
        threads.append(threading.current_thread())
        return "here"

    server.script([custom_tool("where"), text("done")])
    assert Agent(backend=hosted(server, tools=[where])).start("Hi") == "done"
    assert threads == [threading.current_thread()]


def test_a_callback_answers_tools_that_were_declared_as_dicts(server: HostedServer) -> None:
    schema = {"type": "object", "properties": {"q": {"type": "string"}}}
    tool = {"type": "custom", "name": "look-up", "description": "Look up.", "input_schema": schema}
    server.script([custom_tool("look-up", {"q": "x"}), text("done")])
    agent = hosted(server, tools=[tool], on_custom_tool=lambda name, arguments: [name, arguments])
    turn = agent.begin("Hi").wait()
    assert turn.tools[0].result == '["look-up", {"q": "x"}]' and turn.text == "done"


def test_a_tool_that_runs_elsewhere_is_left_to_whoever_runs_it(server: HostedServer) -> None:
    server.script([request(custom_tool("theirs"), custom_tool("add", {"a": 1})), text("done")])
    run = hosted(server, tools=[add]).begin("Hi", caller_waits=False)
    turn = until(run, lambda turn: turn.notices)
    assert "theirs" in turn.notices[0] and len(turn.notices) == 1
    theirs = next(call for call in turn.tools if call.name == "theirs")
    until(run, lambda turn: turn.tools[1].ended)
    server.wait_for(lambda: len(sent(server, "user.custom_tool_result")) == 1)
    content = [{"type": "text", "text": "from elsewhere"}]
    answer = {"type": "user.custom_tool_result", "custom_tool_use_id": theirs.id, "content": content}
    server.call(lambda: server.sessions[turn.session_id].receive([answer]))
    turn = run.wait()
    assert [call.result for call in turn.tools] == ["from elsewhere", "2"] and turn.text == "done"
    assert len(turn.notices) == 1
