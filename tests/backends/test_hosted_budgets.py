"""Budgets of those who pay, and sessions on a server, which go on by themselves."""

from __future__ import annotations

import sqlite3
from decimal import Decimal

import pytest

import praison_nb
from praison_nb import Turn
from praison_nb.backends.hosted import requests
from praison_nb.metering import budget, writer
from praison_nb.metering.origin import current_origin
from servers import forked
from servers.base import Gate
from servers.hosted import HostedServer, Tokens, custom_tool, event, hold, request, text
from servers.hosted_agent import KEY, hosted
from servers.hosted_session import Session

MODEL = "claude-sonnet-4-6"


@pytest.fixture(autouse=True)
def a_dollar_a_day() -> None:
    budget.set_limit(writer.current(), Decimal(1), "day", current_origin())


@pytest.mark.parametrize(("own", "others"), [("0.40", 60), ("0.99", 1), ("5", None), (None, None)])
def test_two_sessions_at_once_share_what_is_left(
    server: HostedServer, own: str | None, others: int | None
) -> None:
    """What the server lets the first one spend is reserved for it, and the second's is lowered."""
    gate = Gate(server)
    server.script([hold(gate), request(text("a"), usage=Tokens(100, 100), cents=10)])
    first = hosted(server, model=MODEL, budget=own and Decimal(own)).begin("1")
    server.wait_for(lambda: gate.reached)
    second = hosted(server, model=MODEL, budget=2).begin("2").wait()
    gate.open()
    assert first.wait().stop_reason == "end_turn"
    budgets = [each.fields["budget"] for each in server.sessions.values()]
    if others is None:
        assert second.stop_reason == "budget_reached" and second.session_id == ""
        assert "at most $1.00 more by requests that are under way" in second.detail
    else:
        assert second.stop_reason == "end_turn"
        assert budgets[1]["max_list_cost"]["amount"] == str(others)
    # Nothing is reserved for a turn that is over.
    third = hosted(server, model=MODEL, budget=Decimal("0.20")).begin("3").wait()
    assert third.stop_reason == "end_turn"


def test_what_a_turn_may_cost_is_reserved_between_its_requests(server: HostedServer) -> None:
    gate = Gate(server)
    server.script([request(text("a"), usage=Tokens(100, 100), cents=1), hold(gate), text("b")])
    run = hosted(server, model=MODEL, budget=Decimal("0.90")).begin("1")
    server.wait_for(lambda: gate.reached)
    found = budget.spent_by_scope(writer.current(), Turn(), current_origin(), run.turn.started)
    (day,) = [each for each in found if each.per == "day"]
    assert day.usd + day.reserved == Decimal("0.90")
    gate.open()
    assert run.wait().text.endswith("b")


def test_a_session_s_budget_is_raised_again_as_far_as_it_went(server: HostedServer) -> None:
    agent = hosted(server, model=MODEL, budget=3)
    (amounts := []).append(_amount(server, agent.begin("1").wait()))
    budget.set_limit(writer.current(), Decimal(2), "day", current_origin())
    amounts.append(_amount(server, agent.begin("2").wait()))
    budget.set_limit(writer.current(), None, "", current_origin())
    amounts.append(_amount(server, agent.begin("3").wait()))
    assert amounts[0] <= 100 < amounts[1] <= 200 < amounts[2] == 300


def test_an_answer_goes_out_when_the_request_that_wanted_it_has_ended(server: HostedServer) -> None:
    """Else all that the turn may cost would still be reserved, and its own next request be refused."""

    def again() -> str:
        "Ask again."
        return "more"

    gate = Gate(server)
    usage = {"usage": Tokens(1000, 100), "cents": 1}
    script = [request(text("a"), custom_tool("again", {}), **usage)]
    script += [request(text("b"), custom_tool("again", {}), hold(gate), **usage), request(text("c"), **usage)]
    server.script(script)
    run = hosted(server, model=MODEL, tools=[again]).begin("1")
    # Before the request ends, whose end is still to be sent.
    run.subscribe(
        lambda event, turn: gate.open() if sum(bool(each.ended) for each in turn.tools) == 2 else None
    )
    turn = run.wait()
    assert turn.stop_reason == "end_turn" and turn.text.endswith("c")
    frame = praison_nb.usage(by="request")
    assert list(frame["input_tokens"]) == [1000] * 3 and list(frame["output_tokens"]) == [100] * 3


def test_a_sub_agent_s_answer_goes_out_while_the_session_s_own_request_is_under_way(
    server: HostedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not kept back until that ends, and begins no request of the session's own beside it."""
    monkeypatch.setattr(requests, "END_SECONDS", 600.0)
    thread = {"session_thread_id": "sthr_1", "agent_name": "scout"}

    def again() -> str:
        "Ask again."
        return "more"

    async def cross_posted(session: Session) -> None:
        call = custom_tool("again", {}, session_thread_id="sthr_1")
        use = session.emit({"type": call.type, **call.fields})
        session.pending = {use["id"]: use}
        reason = {"type": "requires_action", "event_ids": [use["id"]]}
        session.emit({"type": "session.thread_status_idle", "stop_reason": reason, **thread})
        await server.holds(lambda: not session.pending)

    server.manners.takes_threads = True
    usage = {"usage": Tokens(1000, 100), "cents": 1}
    created = event("session.thread_created", **thread)
    server.script([created, request(text("a"), cross_posted, **usage), request(text("b"), **usage)])
    turn = hosted(server, model=MODEL, tools=[again]).begin("1").wait()
    assert turn.stop_reason == "end_turn" and turn.tools[0].result == "more"
    frame = praison_nb.usage(by="request")
    assert list(frame["input_tokens"]) == [1000] * 2 and list(frame["output_tokens"]) == [100] * 2


def _amount(server: HostedServer, turn: Turn) -> int:
    return int(server.sessions[turn.session_id].fields["budget"]["max_list_cost"]["amount"])


# Kernels that are killed

LOOP = """
import sys
from praison_nb import HostedAgent, HostedAgentConfig
def again() -> str:
    "Ask again."
    return "more"
model, base_url, api_key = sys.argv[1:]
config = HostedAgentConfig(model=model, base_url=base_url, api_key=api_key, tools=[again])
print(HostedAgent(config).begin("word " * 1000).wait().stop_reason, flush=True)
"""


@pytest.mark.parametrize(
    ("step", "place"),
    [
        pytest.param(step, place, marks=[] if (step, place) in ((0, 1), (2, 0)) else pytest.mark.slow)
        for step in range(10)
        for place in range(4)
    ],
)
def test_a_killed_kernel_leaves_every_request_that_was_sent(
    server: HostedServer, step: int, place: int
) -> None:
    """Killed before a request, in it, after its text, and after it; then another kernel takes the turn up."""
    gate, steps = Gate(server), []
    call = custom_tool("again", {})
    for number in range(step + 1):
        held = hold(gate)
        mine = [text("a"), call] if number < step else [text("a")]
        usage = {"usage": Tokens(1000, 100), "cents": 1}
        if number < step:
            steps.append(request(*mine, **usage))
        else:
            steps += [
                [held, request(*mine, **usage)],
                [request(held, *mine, **usage)],
                [request(*mine, held, **usage)],
                [request(*mine, **usage), held],
            ][place]
    server.script(steps)
    with forked.script(LOOP, MODEL, server.url, KEY):
        server.wait_for(lambda: gate.reached)
    with sqlite3.connect(writer.default_path()) as connection:
        rows = connection.execute("SELECT state, cost, reserved FROM requests ORDER BY n").fetchall()
        [(turn_id, session_id)] = connection.execute(
            "SELECT t.id, l.session_id FROM turns t JOIN labels l ON l.n = t.label"
        ).fetchall()
    assert len(rows) == step + 1 and all(cost > 0 for _, cost, _ in rows)
    assert all(state or cost for state, cost, _ in rows) and (not rows[-1][0] or rows[-1][2] > 0)
    gate.open()
    session = server.sessions[session_id]
    server.wait_for(lambda: session.status == "idle")
    agent = hosted(server, model=MODEL)
    agent.restore_ids({"session_id": session_id})
    taken_up = Turn(id=turn_id, prompt="word " * 1000, session_id=session_id, backend="hosted", model=MODEL)
    assert agent.attach(taken_up).wait().stop_reason == "end_turn"
    frame = praison_nb.usage(by="request")
    assert len(frame) == step + 1 and frame["input_tokens"].sum() == 1000 * (step + 1)
