"""HostedAgent between turns: the session's status, lists of sessions, their ends and budgets."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from praison_nb import HostedAgent, errors as e
from servers.hosted import HostedServer, Tokens, hold, idle, request, text
from servers.hosted_agent import KEY, hosted
from servers.waiting import until

FRESH = {"id": "", "status": "unknown", "title": "", "usage": {"input_tokens": 0, "output_tokens": 0}}
# The session's status


def status_of(server: HostedServer, agent: HostedAgent, **changes: Any) -> str:
    def change() -> None:
        for name, value in changes.items():
            setattr(server.sessions[agent.session_id or ""], name, value)

    server.call(change)
    return str(agent.retrieve_session()["status"])


def test_the_statuses_of_the_server_are_ours(server: HostedServer) -> None:
    agent = hosted(server)
    agent.begin("Hi").wait()
    assert status_of(server, agent) == "idle"
    assert status_of(server, agent, status="running") == "running"
    assert status_of(server, agent, status="rescheduling") == "running"
    assert status_of(server, agent, status="terminated") == "error"
    assert status_of(server, agent, status="idle", archived_at=server.now()) == "unknown"
    assert status_of(server, agent, status="terminated") == "unknown"


def test_a_status_that_lags_behind_is_asked_for_again(server: HostedServer) -> None:
    server.lag = 2
    agent = hosted(server)
    agent.begin("Hi").wait()
    assert agent.retrieve_session()["status"] == "idle"


def test_running_while_our_turn_runs_and_error_after_it_failed(server: HostedServer) -> None:
    gate = server.gate()
    server.script([text("half"), hold(gate), idle("retries_exhausted")])
    agent = hosted(server)
    run = agent.begin("Hi")
    until(run, lambda turn: turn.text)
    assert agent.retrieve_session()["status"] == "running"
    gate.open()
    run.wait()
    assert agent.retrieve_session()["status"] == "error"


@pytest.mark.parametrize("status", [500, 404, 401, None])
def test_a_session_that_cannot_be_asked_for_keeps_what_was_known(
    server: HostedServer, status: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    agent = hosted(server, session_title="Churn")
    server.script([request(text("a"), usage=Tokens(3, 4, 5, 6, 7))])
    agent.begin("Hi").wait()
    known = agent.retrieve_session()
    assert known["usage"] == {
        "input_tokens": 21,
        "output_tokens": 4,
        "cache_read_input_tokens": 5,
        "cache_creation_input_tokens": 13,
    }
    server.refuse(10_000, status=status)
    assert agent.retrieve_session() == {**known, "status": "unknown"}
    assert "retrieve_session" in caplog.text and KEY not in caplog.text


def test_without_a_server_it_is_unknown(server: HostedServer) -> None:
    agent = hosted(server, base_url="http://127.0.0.1:9")
    agent.resume_session("sesn_1")
    assert agent.retrieve_session() == {**FRESH, "id": "sesn_1"}


# Lists


def test_lists_have_all_pages_or_as_many_as_asked(server: HostedServer) -> None:
    server.page_size = 2
    agent, other = hosted(server), hosted(server, name="other")
    ids = []
    for _ in range(5):
        agent.reset_session()
        agent.begin("Hi").wait()
        ids.append(agent.session_id)
    other.begin("Hi").wait()
    listed = agent.list_sessions()
    assert [each["id"] for each in listed] == ids[::-1]
    assert all(set(each) == set(FRESH) and each["status"] == "idle" for each in listed)
    assert listed[0]["usage"] == {"input_tokens": 10, "output_tokens": 5}
    assert [each["id"] for each in agent.list_sessions(limit=3)] == ids[:1:-1]
    assert agent.list_sessions(limit=0) == []
    assert len(agent.list_sessions(agent_id=other.agent_id)) == 1
    assert len(hosted(server).list_sessions(order="asc")) == 6
    assert {each["id"] for each in agent.list_agents()} == {agent.agent_id, other.agent_id}
    assert len(agent.list_agents(limit=1)) == 1


def test_a_long_history_is_read_page_by_page(server: HostedServer) -> None:
    server.page_size = 3
    first = hosted(server)
    for prompt in "abcd":
        first.begin(prompt).wait()
    second = hosted(server)
    second.resume_session(first.session_id or "")
    server.replay = 1000
    assert second.begin("e").wait().text == "e"
    assert len(server.seen("GET", "/events")) > 8


# The end of a session


def test_archive_and_delete(server: HostedServer) -> None:
    agent = hosted(server)
    for end in (agent.archive_session, agent.delete_session):
        with pytest.raises(e.ConfigError, match="no session yet"):
            end()
    agent.begin("one").wait()
    first = agent.session_id or ""
    agent.archive_session()
    assert agent.session_id is None and server.sessions[first].archived_at
    agent.begin("two").wait()
    second = agent.session_id or ""
    agent.archive_session(first)
    assert agent.session_id == second
    agent.delete_session(first)
    agent.delete_session()
    assert agent.session_id is None and not server.sessions
    with pytest.raises(e.ModelNotFoundError, match=second):
        agent.delete_session(second)


def test_an_archived_session_takes_no_prompt(server: HostedServer) -> None:
    agent = hosted(server)
    agent.begin("one").wait()
    ids = agent.save_ids()
    agent.archive_session()
    agent.restore_ids(ids)
    turn = agent.begin("two").wait()
    assert isinstance(turn.error, e.SessionError) and "reset_session()" in str(turn.error)


def test_a_session_of_ours_that_runs_is_interrupted_before_it_is_deleted(server: HostedServer) -> None:
    gate = server.gate()
    server.script([text("half"), hold(gate)])
    agent = hosted(server)
    run = agent.begin("Hi")
    until(run, lambda turn: turn.text)
    agent.delete_session()
    assert run.wait().stop_reason == "interrupted" and not server.sessions
    assert agent.session_id is None


@pytest.mark.parametrize("lag", [0, 2])
def test_a_session_of_others_that_runs_is_interrupted_before_it_is_deleted(
    server: HostedServer, lag: int
) -> None:
    gate = server.gate()
    server.lag = lag
    server.script([text("half"), hold(gate)])
    first, second = hosted(server), hosted(server)
    run = first.begin("Hi")
    until(run, lambda turn: turn.text)
    second.delete_session(run.turn.session_id)
    turn = run.wait()
    assert not server.sessions and (turn.stop_reason == "interrupted" or turn.error)


def test_interrupt(server: HostedServer) -> None:
    gate = server.gate()
    server.script([text("half"), hold(gate)])
    first, second = hosted(server), hosted(server)
    first.interrupt()  # there is nothing to interrupt
    run = first.begin("Hi")
    until(run, lambda turn: turn.text)
    second.resume_session(run.turn.session_id)
    second.interrupt()
    assert run.wait().stop_reason == "interrupted"
    server.script([text("half"), hold(gate)])
    run = first.begin("Hi")
    until(run, lambda turn: turn.text)
    first.interrupt()
    assert run.wait().stop_reason == "interrupted"
    assert first.begin("next").wait().text == "next"


# Budget


def test_a_budget_ends_the_turn_and_can_be_raised_or_lifted(server: HostedServer) -> None:
    spent = [request(text("a"), cents=60), request(text("b"), cents=60), text("never")]
    server.script(spent)
    agent = hosted(server, budget=1)
    turn = agent.begin("Hi").wait()
    assert turn.stop_reason == "budget_reached" and turn.error is None and turn.text == "a\n\nb"
    assert "set_budget" in turn.detail and turn.session_usage is not None
    assert turn.session_usage.list_cost == Decimal("1.20")
    refused = agent.begin("more").wait()
    assert isinstance(refused.error, e.SessionError) and "set_budget" in str(refused.error)
    with pytest.raises(e.RequestRejectedError, match="budget_not_raised"):
        agent.set_budget(1.1)
    agent.set_budget(5)
    assert "more" in agent.begin("more").wait().text
    agent.set_budget(None)
    assert agent.begin("again").wait().text == "again" and agent.config.budget is None
    with pytest.raises(e.RequestRejectedError, match="budget_create_only"):
        agent.set_budget(7)
    assert agent.config.budget is None
