"""HostedAgent over the real anthropic SDK, against a loopback server: what a turn is."""

from __future__ import annotations

import ast
import asyncio
import inspect
import textwrap
from decimal import Decimal
from typing import Any, get_args

import pytest

from praison_nb import Agent
from praison_nb.backends.hosted.translate import Reader
from praison_nb.events import (
    Activity,
    ApprovalAnswered,
    Event,
    Notice,
    RequestFinished,
    SessionUsage,
    TextDelta,
    TextFinal,
    Thinking,
    ThreadChanged,
    ToolFinished,
    ToolStarted,
)
from praison_nb.session import Status, Usage
from servers.hosted import (
    HostedServer,
    Tokens,
    builtin_tool,
    delta,
    error,
    event,
    idle,
    mcp_tool,
    preview,
    raw,
    request,
    rescheduled,
    running,
    sse,
    text,
    thinking,
    usage_snapshot,
)
from servers.hosted_agent import calls, hosted, of, play
from servers.waiting import until

FRESH = {"id": "", "status": "unknown", "title": "", "usage": {"input_tokens": 0, "output_tokens": 0}}


# A turn


def test_a_first_turn_creates_each_thing_once_and_opens_the_stream_before_it_sends(
    server: HostedServer,
) -> None:
    server.script([text("Hello", deltas=3, usage=Tokens(12, 5))])
    agent = hosted(server, session_title="Churn", system="Be brief.", model="claude-haiku-4-5")
    assert agent.retrieve_session() == FRESH and not server.requests
    turn, told = play(agent)
    assert (turn.text, turn.stop_reason, turn.status) == ("Hello", "end_turn", Status.IDLE)
    assert (turn.session_id, turn.model, turn.backend) == (agent.session_id, "claude-haiku-4-5", "hosted")
    assert [piece.text for piece in of(TextDelta, told)] == ["He", "ll", "o"]
    ids = {each.message_id for each in of(TextDelta, told) + of(TextFinal, told)}
    assert len(ids) == 1 and "" not in ids
    asked = [(each.method, each.path.split("/")[-1]) for each in server.requests]
    assert asked[:2] == [("GET", "environments"), ("POST", "environments")]
    assert asked[2:4] == [("POST", "agents"), ("POST", "sessions")]
    assert asked[4:6] == [("GET", "stream"), ("POST", "events")]
    stream = server.seen("GET", "/stream")[0]
    assert stream.query.getall("event_deltas[]") == ["agent.message", "agent.thinking"]
    created = server.seen("POST", "/v1/sessions")[0].json
    assert created["agent"] == {"type": "agent", "id": agent.agent_id, "version": 1}
    assert agent.retrieve_session() == {
        "id": agent.session_id,
        "status": "idle",
        "title": "Churn",
        "usage": {"input_tokens": 12, "output_tokens": 5},
    }


def test_turns_go_on_in_the_session_and_each_has_only_its_own(server: HostedServer) -> None:
    server.replay = 1000  # every stream begins with all that was, old idles too
    agent = hosted(server)
    turns = [play(agent, prompt)[0] for prompt in ("one", "two", "three")]
    assert [turn.text for turn in turns] == ["one", "two", "three"]
    assert [turn.usage for turn in turns] == [Usage(uncached_input_tokens=10, output_tokens=5)] * 3
    assert agent.retrieve_session()["usage"] == {"input_tokens": 30, "output_tokens": 15}
    assert calls(server, "POST", "/agents") == calls(server, "POST", "/environments") == 1
    assert calls(server, "POST", "/sessions") == 1 and len(server.sessions) == 1


def test_it_works_as_an_agents_backend(server: HostedServer) -> None:
    agent = Agent(name="helper", backend=hosted(server))
    assert agent.start("Good day") == "Good day"
    assert "".join(agent.start("And again", stream=True)) == "And again"
    assert asyncio.run(agent.astart("At last")) == "At last"


def test_usage_is_disjoint_and_the_sessions_own_count_is_never_added(server: HostedServer) -> None:
    server.script(
        [
            request(text("a"), usage=Tokens(10, 1, 100, 20, 0), cents=3, seconds=1.5),
            usage_snapshot(),
            request(text("b"), usage=Tokens(5, 2, 0, 0, 40), cents=4, seconds=2),
        ]
    )
    told: list[Event] = []
    run = hosted(server).begin("Hi", subscribers=(lambda event, turn: told.append(event),))
    turn = until(run, lambda turn: turn.ended and len(of(SessionUsage, told)) == 3)
    first, second = of(RequestFinished, told)
    assert first.usage == Usage(
        uncached_input_tokens=10,
        cache_read_input_tokens=100,
        cache_write_5m_input_tokens=20,
        output_tokens=1,
    )
    assert (first.provider, first.id, first.cost_source) == ("anthropic", turn.requests[0], "table")
    assert second.usage.cache_write_5m_input_tokens == 40  # one request does not say for how long
    last = turn.session_usage
    assert last is not None and turn.usage == last.usage == Usage(
        uncached_input_tokens=15,
        cache_read_input_tokens=100,
        cache_write_5m_input_tokens=20,
        cache_write_1h_input_tokens=40,
        output_tokens=3,
    )
    assert (last.list_cost, last.active_seconds) == (Decimal("0.07"), 3.5)
    assert [each.list_cost for each in of(SessionUsage, told)] == [
        Decimal("0.03"),
        Decimal("0.07"),
        Decimal("0.07"),
    ]


def test_a_session_whose_usage_is_not_known_yet_has_none(server: HostedServer) -> None:
    server.script([idle("end_turn")])
    turn, _ = play(agent := hosted(server))
    assert turn.text == "" and turn.usage == Usage()
    assert turn.session_usage is not None and turn.session_usage.list_cost is None
    assert agent.retrieve_session()["usage"] == {"input_tokens": 0, "output_tokens": 0}


# What the events mean


def test_no_event_of_the_sdk_is_without_a_meaning() -> None:
    from anthropic.types.beta.sessions import BetaManagedAgentsStreamSessionEvents

    union = get_args(get_args(BetaManagedAgentsStreamSessionEvents)[0])
    types = {get_args(each.model_fields["type"].annotation)[0] for each in union}
    tree = ast.parse(textwrap.dedent(inspect.getsource(Reader._translate)))
    values = [node.value for node in ast.walk(tree) if isinstance(node, ast.MatchValue)]
    ours = [ast.literal_eval(value) for value in values]
    assert len(types) >= 44 and set(ours) >= types and len(ours) == len(set(ours))
    assert not any(isinstance(node, ast.MatchAs) for node in ast.walk(tree))


THREAD = {"session_thread_id": "sthr_1", "agent_name": "scout"}
SAID = {"content": [{"type": "text", "text": "hm"}]}
SPAN = {"iteration": 0, "outcome_id": "outc_1"}
USED = {
    "input_tokens": 1,
    "output_tokens": 1,
    "cache_read_input_tokens": 0,
    "cache_creation_input_tokens": 0,
}
WORKFLOW = {"workflow_run_id": "wf_1"}
PHASE = {**WORKFLOW, "workflow_run_phase_id": "ph_1"}
DONE = {"stop_reason": {"type": "end_turn"}}


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([thinking()], [Thinking]),
        ([event("agent.thread_context_compacted")], [Notice]),
        ([event("session.thread_created", **THREAD)], [ThreadChanged]),
        ([event("session.thread_status_running", **THREAD)], []),
        (
            [event("session.thread_created", **THREAD), event("session.thread_status_running", **THREAD)],
            [ThreadChanged, ThreadChanged],
        ),
        ([event("session.thread_status_idle", **THREAD, **DONE)], []),
        ([event("session.thread_status_rescheduled", **THREAD)], []),
        ([event("session.thread_status_terminated", **THREAD)], []),
        (
            [event("agent.thread_message_sent", to_session_thread_id="s", to_agent_name="scout", **SAID)],
            [Activity],
        ),
        (
            [event("agent.thread_message_received", from_session_thread_id="s", from_agent_name="b", **SAID)],
            [Activity],
        ),
        ([event("session.updated", title="New")], []),
        ([event("system.message", **SAID)], []),
        (
            [
                event(
                    "user.define_outcome",
                    description="d",
                    outcome_id="outc_1",
                    rubric={"type": "text", "content": "r"},
                )
            ],
            [],
        ),
        ([event("span.outcome_evaluation_start", **SPAN)], [Activity]),
        ([event("span.outcome_evaluation_ongoing", **SPAN)], [Activity]),
        (
            [
                event(
                    "span.outcome_evaluation_end",
                    explanation="good",
                    outcome_evaluation_start_id="x",
                    result="satisfied",
                    usage=USED,
                    **SPAN,
                )
            ],
            [Notice],
        ),
        ([event("workflow_run.created", name="sweep", phases=[], **WORKFLOW)], [Activity]),
        ([event("workflow_run.status_running", **WORKFLOW)], [Activity]),
        ([event("workflow_run.status_idle", **WORKFLOW)], [Activity]),
        ([event("workflow_run.status_ended", result={"type": "completed"}, **WORKFLOW)], [Activity]),
        ([event("workflow_run.phase_started", **PHASE)], [Activity]),
        ([event("workflow_run.phase_ended", phase_started_id="x", **PHASE)], [Activity]),
        (
            [event("workflow_run.error", error={"type": "timeout_error", "message": "late"}, **WORKFLOW)],
            [Notice],
        ),
        ([rescheduled(), running()], [Activity]),
        ([raw({"type": "agent.future_thing", "colour": "blue"})], []),
        ([raw({"type": "session.status_dreaming", "content": None})], []),
        *(
            ([raw({"type": kind})], [])
            for kind in ("session.thread_created", "user.tool_confirmation", "agent.tool_result")
        ),
        ([sse(b"event: ping\ndata: {}\n\n"), sse(b": a comment\n\n"), sse(b'data: {"type": "x"}\n\n')], []),
    ],
    ids=lambda value: None,
)
def test_what_an_event_shows(server: HostedServer, steps: list[Any], expected: list[type[Event]]) -> None:
    server.script([*steps, text("after")])
    turn, told = play(agent := hosted(server))
    assert turn.text == "after" and turn.stop_reason in ("end_turn", "satisfied")
    kinds = (Thinking, ThreadChanged, Notice, Activity, ToolStarted, ToolFinished, ApprovalAnswered)
    shown = [event for event in told if isinstance(event, kinds)]
    assert [
        type(event) for event in shown if getattr(event, "text", "x") or type(event) is Thinking
    ] == expected
    if "title" in str(steps):
        assert agent.session.title == "New"


@pytest.mark.parametrize("content", ["plain", {"type": "text", "text": "plain"}])
def test_content_that_stands_alone_is_read(server: HostedServer, content: Any) -> None:
    server.script([raw({"type": "agent.message", "content": content})])
    assert play(hosted(server))[0].text == "plain"


def test_builtin_and_mcp_tools_are_shown_with_their_results(server: HostedServer) -> None:
    server.script(
        [
            request(
                builtin_tool("bash", {"command": "ls"}, result="a.csv"),
                mcp_tool("github", "search", {"q": "ü"}, result="none", is_error=True),
            ),
            request(builtin_tool("bash", {"command": "rm"}, result="refused", permission="deny")),
            text("ok"),
        ]
    )
    turn, _ = play(hosted(server))
    shown = [(call.name, call.arguments, call.runs, call.result, call.is_error) for call in turn.tools]
    assert shown == [
        ("bash", '{"command": "ls"}', "builtin", "a.csv", False),
        ("search", '{"q": "ü"}', "mcp", "none", True),
        ("bash", '{"command": "rm"}', "builtin", "refused", False),
    ]
    assert all(call.ended for call in turn.tools) and turn.text == "ok"


# Previews


def test_the_final_message_wins_over_what_was_shed(server: HostedServer) -> None:
    server.script([text("Hello, ", ["wor", "ld"], deltas=3, shed=1)])
    turn, told = play(hosted(server))
    assert turn.text == "Hello, world"
    assert "".join(piece.text for piece in of(TextDelta, told)) == "Hello, wor"


@pytest.mark.parametrize("index", [None, 0, 3])
def test_a_piece_without_its_start_is_passed_over(server: HostedServer, index: int | None) -> None:
    server.script([preview(delta("sevt_unknown", "lost", index)), text("found")])
    turn, told = play(hosted(server))
    assert turn.text == "found" and [piece.text for piece in of(TextDelta, told)] == ["found"]


def test_a_preview_that_cannot_be_read_costs_no_answer(server: HostedServer) -> None:
    begun: dict[str, Any] = {"type": "event_start", "event": {"type": "agent.message", "id": "sevt_x"}}
    pieces = [None, {}, {"content": {"type": "text", "text": None}}, {"index": "0", "content": {"text": "x"}}]
    deltas = [{"type": "event_delta", "event_id": "sevt_x", "delta": each} for each in pieces]
    start = raw({"type": "event_start", "event": "?"})
    server.script([start, *map(preview, [begun, *deltas]), text("found")])
    assert play(hosted(server))[0].text == "found"


def test_pieces_after_the_final_message_change_nothing(server: HostedServer) -> None:
    server.script([text("done"), preview(delta("sevt_000005", " and more", 0)), text("next")])
    turn, _ = play(hosted(server))
    assert turn.text == "done\n\nnext"


def test_a_message_that_was_begun_and_given_up_is_replaced(server: HostedServer) -> None:
    failed = request(text("I beg", final=False), is_error=True)
    again = [failed, error("model_overloaded_error", "retrying"), text("I begin again")]
    server.script(again, again)
    turn, told = play(hosted(server))
    assert of(TextDelta, told)[0].text == "I beg" and turn.text == "I begin again"
    assert "".join(hosted(server).begin("Hi", stream=True).text()) == "I beg\n\nI begin again"


def test_what_an_unfinished_message_said_stays_where_nothing_follows(server: HostedServer) -> None:
    server.script([request(text("I beg", final=False), is_error=True), idle("retries_exhausted")])
    turn, _ = play(hosted(server))
    assert turn.text == "I beg" and turn.error is not None
