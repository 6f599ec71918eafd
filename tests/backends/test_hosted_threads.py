"""The sub-agents of a hosted session in a turn: how each stands and what it used, counted once."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from praison_nb import HostedAgent, usage
from praison_nb.metering.prices import price
from praison_nb.session import Usage
from praison_nb.turn import Turn
from servers.hosted import HostedServer, Tokens, hold, text
from servers.hosted_agent import hosted
from servers.hosted_threads import sub_agent
from servers.waiting import until

USED = Tokens(input=1000, output=200, cache_read=4000)
COUNTED = Usage(uncached_input_tokens=1000, output_tokens=200, cache_read_input_tokens=4000)
OWN = Usage(uncached_input_tokens=10, output_tokens=5)
HAIKU = "claude-haiku-4-5"


def settled(agent: HostedAgent, prompt: str = "Hi") -> Turn:
    """The turn with all that is asked for after its end."""
    run = agent.begin(prompt)
    return until(run, lambda turn: turn.ended and turn.session_usage)


@pytest.fixture
def server(server: HostedServer) -> HostedServer:
    # The session's usage comes last then.
    server.manners.usage_event = False
    return server


@pytest.mark.parametrize("posts_spans", [False, True])
@pytest.mark.parametrize("lists_threads", [False, True])
def test_a_sub_agent_is_counted_once(server: HostedServer, posts_spans: bool, lists_threads: bool) -> None:
    server.manners.posts_spans, server.manners.lists_threads = posts_spans, lists_threads
    server.script([sub_agent("scout", usage=USED), text("Found.")], [text("Again.")])
    agent = hosted(server)
    turn = settled(agent)
    is_known = posts_spans or lists_threads
    assert turn.usage == OWN + (COUNTED if is_known else Usage())
    (thread,) = turn.threads
    assert (thread.agent, thread.status, thread.usage) == ("scout", "idle", COUNTED if is_known else Usage())
    assert turn.model == "claude-sonnet-4-6" and turn.text == "Found."
    if lists_threads:
        assert thread.cost == price(COUNTED, HAIKU, "anthropic", turn.started)[0]
        assert turn.cost is not None and thread.cost is not None and turn.cost > thread.cost
    elif posts_spans:
        # Nobody says which model it was.
        assert thread.cost is None and turn.cost is None
    # It did nothing more: it has no line, and nothing is counted again.
    later = settled(agent, "again")
    assert later.usage == OWN and later.threads == ()


def test_a_sub_agent_that_works_once_more(server: HostedServer) -> None:
    more = Tokens(input=7, output=9)
    server.script(
        [sub_agent("scout", usage=USED), text("one")],
        [sub_agent("scout", usage=more, thread_id="sthr_000001"), text("two")],
    )
    agent = hosted(server)
    assert settled(agent).threads[0].usage == COUNTED
    turn = settled(agent, "again")
    assert [each.usage for each in turn.threads] == [Usage(uncached_input_tokens=7, output_tokens=9)]
    assert agent.session.usage == OWN + OWN + COUNTED + turn.threads[0].usage


def test_a_resumed_session_counts_what_its_sub_agents_do_from_then_on(server: HostedServer) -> None:
    server.script(
        [sub_agent("scout", usage=USED), text("one")],
        [sub_agent("scout", usage=Tokens(input=7), thread_id="sthr_000001"), text("two")],
    )
    first = hosted(server)
    settled(first)
    other = hosted(server)
    other.resume_session(str(first.session_id))
    turn = settled(other, "two")
    assert [(each.agent, each.usage.input_tokens, each.status) for each in turn.threads] == [
        ("scout", 7, "idle")
    ]
    assert turn.usage.input_tokens == 17


def counts_agree() -> int:
    """The ledger's tokens, the same by turn and by request."""
    by_turn, by_request = usage(), usage(by="request")
    for name in ("input_tokens", "output_tokens"):
        assert by_turn[name].sum() == by_request[name].sum()
    return int(by_turn["input_tokens"].sum())


def test_two_clients_of_a_session_count_its_sub_agents_once(server: HostedServer) -> None:
    first = hosted(server)
    for number in range(5):
        more = Tokens(input=1000 + number, output=2)
        server.script([sub_agent("scout", usage=more, thread_id="sthr_1"), text("Found.")])
    settled(first)
    second, third = hosted(server), hosted(server)
    for other in (second, third):
        other.resume_session(str(first.session_id))
    turns = [settled(each, str(n)) for n, each in enumerate((second, first, third, second))]
    assert [turn.usage.input_tokens for turn in turns] == [1011, 1012, 1013, 1014]
    assert counts_agree() == server.sessions[str(first.session_id)].spent.to_dict()["input_tokens"]


@pytest.mark.parametrize("posts_spans", [True, False])
def test_a_sub_agent_that_another_client_has_made_is_counted_and_shown(
    server: HostedServer, posts_spans: bool
) -> None:
    server.manners.posts_spans = posts_spans
    first, second = hosted(server), hosted(server)
    settled(first)
    second.resume_session(str(first.session_id))
    server.script([sub_agent("scout", usage=USED, thread_id="sthr_1"), text("Found.")])
    settled(second, "2")
    server.script([sub_agent("scout", usage=Tokens(input=7), thread_id="sthr_1"), text("Found.")])
    turn = settled(first, "3")
    (thread,) = turn.threads
    assert (thread.agent, thread.usage) == ("scout", Usage(uncached_input_tokens=7))
    assert turn.usage == OWN + thread.usage
    assert counts_agree() == server.sessions[str(first.session_id)].spent.to_dict()["input_tokens"] + 4000


@pytest.mark.parametrize("lists_threads", [True, False])
def test_a_client_that_waits_counts_no_sub_agents_of_the_turn_before_its_own(
    server: HostedServer, lists_threads: bool
) -> None:
    server.manners.lists_threads, server.manners.posts_spans = lists_threads, True
    first, second = hosted(server), hosted(server)
    settled(first)
    second.resume_session(str(first.session_id))
    settled(second, "2")
    gate = server.gate()
    server.script([hold(gate), sub_agent("scout", usage=USED), text("Found.")])
    run = first.begin("3")
    until(run, lambda turn: server.sessions[str(first.session_id)].status == "running")
    waiting = second.begin("4")
    until(waiting, lambda turn: turn.usage.estimated)
    gate.open()
    for each, expected in ((run, OWN + COUNTED), (waiting, OWN)):
        each.wait()
        each.settled.result(20)
        assert each.turn.usage == expected
    counts_agree()


# A server that dates a message when it is done does not say in time that it works on the other one.
@pytest.mark.parametrize(("is_first", "dates_late"), [(False, False), (False, True), (True, False)])
def test_sub_agents_of_others_are_not_counted(server: HostedServer, is_first: bool, dates_late: bool) -> None:
    agent = hosted(server)
    settled(agent)
    gate, session = server.gate(), server.sessions[str(agent.session_id)]
    server.manners.dates_late = dates_late
    theirs = [hold(gate), sub_agent("scout", usage=USED), text("Found.")]
    scripts = ([hold(gate), text("ours")], theirs)
    server.script(*(scripts if is_first else scripts[::-1]))
    message = {"type": "user.message", "content": [{"type": "text", "text": "of another client"}]}
    if not is_first:
        server.call(session.receive, [message])
    run = agent.begin("2")
    until(run, lambda turn: turn.usage.estimated)
    server.wait_for(lambda: gate.reached)
    if is_first:
        server.call(session.receive, [message])
    gate.open()
    run.wait()
    run.settled.result(20)
    assert run.turn.usage == OWN


def test_a_turn_that_is_taken_up_has_what_its_sub_agents_used_before(server: HostedServer) -> None:
    gate = server.gate()
    more = sub_agent("scout", usage=Tokens(input=7), thread_id="sthr_000001")
    server.script([sub_agent("scout", usage=USED), hold(gate), more, text("Done.")])
    first = hosted(server)
    run = first.begin("Hi")
    old = until(run, lambda turn: turn.threads and turn.threads[0].usage == COUNTED)
    second = hosted(server)
    second.restore_ids(first.save_ids())
    again = second.attach(Turn(id=old.id, prompt="Hi", session_id=old.session_id, backend="hosted"))
    until(again, lambda turn: turn.threads)
    gate.open()
    again.wait()
    again.settled.result(20)
    assert again.turn.threads[0].usage == COUNTED + Usage(uncached_input_tokens=7)
    run.settled.result(20)
    assert usage(by="request")["input_tokens"].sum() == again.turn.usage.input_tokens


def test_the_providers_cost_has_the_sub_agents_in_it(server: HostedServer) -> None:
    server.script([sub_agent("scout", usage=USED, cents=300), text("Done.")])
    turn = settled(hosted(server))
    # The whole session's, as the provider says.
    assert turn.cost == Decimal(3) and turn.threads[0].cost == price(COUNTED, HAIKU, "anthropic", 0)[0]


def test_tokens_are_shown_while_the_turn_runs(server: HostedServer) -> None:
    gate = server.gate()
    more = sub_agent("scout", usage=Tokens(input=7), thread_id="sthr_000001")
    server.script([sub_agent("scout", usage=USED), hold(gate), more, text("Done.")])
    run = hosted(server).begin("Hi")
    until(run, lambda turn: turn.threads and turn.threads[0].usage == COUNTED)
    assert run.turn.ended is None
    gate.open()
    turn = until(run, lambda turn: turn.ended and turn.session_usage)
    assert turn.threads[0].usage == COUNTED + Usage(uncached_input_tokens=7)
    assert turn.usage == OWN + turn.threads[0].usage


def test_a_stopped_turn_counts_them_too(server: HostedServer) -> None:
    gate = server.gate()
    server.script([sub_agent("scout", usage=USED, is_over=False), hold(gate)])
    run = hosted(server).begin("Hi")
    until(run, lambda turn: turn.threads and turn.threads[0].status == "running")
    run.stop()
    turn = until(run, lambda turn: turn.session_usage)
    assert turn.stop_reason == "interrupted" and turn.threads[0].usage == COUNTED
    gate.open()


@pytest.mark.parametrize(
    ("reason", "status"),
    [("requires_action", "waiting"), ("retries_exhausted", "failed"), ("end_turn", "idle"), ("new", "idle")],
)
def test_why_a_sub_agent_is_idle(server: HostedServer, reason: str, status: str) -> None:
    async def stand(session: Any) -> None:
        named = {"session_thread_id": "sthr_1", "agent_name": "scout"}
        session.emit({"type": "session.thread_created", **named})
        more = {"event_ids": []} if reason == "requires_action" else {}
        end = {"stop_reason": {"type": reason, **more}}
        session.emit({"type": "session.thread_status_idle", **named, **end}, checked=reason != "new")

    server.script([stand, text("Done.")])
    assert [each.status for each in settled(hosted(server)).threads] == [status]
