"""When a hosted turn begins and ends: by its own message, whatever a server lists, replays, or tells late."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from praison_nb import HostedAgent, Turn
from praison_nb.backends.hosted.session import HostedSession
from praison_nb.backends.hosted.stream import Fields
from praison_nb.backends.hosted.translate import Reader
from praison_nb.fold import fold
from praison_nb.session import Usage
from servers.hosted import HostedServer, Manners, hang_up, hold, idle, text
from servers.hosted_agent import hosted, messages, play, sent
from servers.waiting import until

LATE = 0.003


def resumed(server: HostedServer, agent: HostedAgent) -> HostedAgent:
    """Another client of the agent's session."""
    other = hosted(server)
    assert agent.session_id is not None
    other.resume_session(agent.session_id)
    return other


@pytest.mark.parametrize("count", [24, pytest.param(200, marks=pytest.mark.slow)])
def test_many_first_turns_have_their_own_answers(server: HostedServer, count: int) -> None:
    """The session has gone idle before, says so to every stream, and is in no hurry to take a message."""
    server.replay = 1000
    agent = hosted(server)
    orders = itertools.cycle([(False, False), (True, False), (False, True), (True, True)])
    for n, (takes_first, by_arrival) in zip(range(count), orders, strict=False):
        server.manners = Manners(
            take_seconds=LATE * (n % 3),
            takes_first=takes_first,
            lists_by_arrival=by_arrival,
            starts_idle=True,
        )
        agent.reset_session()
        turn, _ = play(agent, f"prompt {n}")
        assert (turn.text, turn.stop_reason) == (f"prompt {n}", "end_turn")
    assert len(server.sessions) == count


@pytest.mark.parametrize("starts_idle", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize("replay", [0, 1000])
@pytest.mark.parametrize(
    "manners",
    [
        Manners(take_seconds=LATE),
        Manners(take_seconds=LATE, takes_first=True, lists_by_arrival=True),
        Manners(take_seconds=LATE, tells_running=False),
        Manners(take_seconds=LATE, dates_messages=False),
        Manners(take_seconds=LATE, dates_messages=False, tells_running=False, lists_by_arrival=True),
        Manners(take_seconds=LATE, dates_late=True),
        Manners(take_seconds=LATE, dates_late=True, tells_messages="history"),
        Manners(take_seconds=LATE, tells_messages=False),
    ],
    ids=["late", "taken first", "never running", "undated", "says nothing", "when done", "listed", "silent"],
)
def test_turns_one_after_the_other(
    server: HostedServer, manners: Manners, replay: int, starts_idle: bool
) -> None:
    server.manners, server.replay, server.lag, server.lag_running = manners, replay, 1, 2
    manners.starts_idle = starts_idle
    agent = hosted(server)
    for prompt in ("one", "two", "one"):
        turn, _ = play(agent, prompt)
        assert (turn.text, turn.stop_reason) == (prompt, "end_turn")
        assert turn.usage == Usage(uncached_input_tokens=10, output_tokens=5)
    other = resumed(server, agent)
    assert [play(client, "again")[0].text for client in (other, agent, other)] == ["again"] * 3


@pytest.mark.parametrize("replay", [0, 1000])
@pytest.mark.parametrize("tells_running", [False, True])
def test_a_session_that_sets_itself_up_behind_the_message(
    server: HostedServer, tells_running: bool, replay: int
) -> None:
    """It runs and goes idle before it takes the message: a server that nobody knows yet may mean the end."""
    server.manners = Manners(take_seconds=0.05, sets_up_first=True, tells_running=tells_running)
    server.replay = replay
    agent = hosted(server)
    for prompt in ("one", "two"):
        turn, _ = play(agent, prompt)
        assert (turn.text, turn.stop_reason) == (prompt, "end_turn")


@pytest.mark.parametrize("by_arrival", [False, True])
@pytest.mark.parametrize("cut", [False, True])
def test_an_idle_between_another_message_and_ours(server: HostedServer, by_arrival: bool, cut: bool) -> None:
    """The session works for another client when ours comes, and goes idle before it takes that."""
    server.manners = Manners(idles_between=True, lists_by_arrival=by_arrival, take_seconds=LATE)
    ours = hosted(server)
    play(ours, "first")
    gate = server.gate()
    end = [hang_up("reset")] if cut else []
    server.script([hold(gate), *end, text("theirs")], [text("ours")])
    theirs = resumed(server, ours).begin("theirs")
    server.wait_for(lambda: gate.reached)
    run = ours.begin("ours")
    server.wait_for(lambda: messages(server)[-1] == "ours")
    gate.open()
    assert theirs.wait().text == "theirs" and run.wait().text == "ours"
    assert run.turn.stop_reason == "end_turn" and play(ours, "after")[0].text == "after"


def test_a_message_that_waits_is_waited_for(server: HostedServer) -> None:
    """A client comes to a session that has not taken another one's message yet: its status is idle."""
    first = hosted(server)
    play(first, "zero")
    server.manners = Manners(take_seconds=0.2)
    old = first.begin("one")
    server.wait_for(lambda: messages(server) == ["zero", "one"])
    run = resumed(server, first).begin("two")
    assert run.wait().text == "one\n\ntwo" and old.wait().text == "one"


def _at(second: int) -> dict[str, str]:
    return {"id": f"event-{second}", "processed_at": f"2026-01-01T00:00:{second:02d}Z"}


def _answer(second: int, text: str) -> list[dict[str, Any]]:
    usage = {"input_tokens": 10, "output_tokens": len(text)}
    return [
        {"type": "span.model_request_end", "model_usage": usage, **_at(second - 1)},
        {"type": "agent.message", "content": [{"type": "text", "text": text}], **_at(second)},
    ]


def _idle(second: int) -> dict[str, Any]:
    return {"type": "session.status_idle", "stop_reason": {"type": "end_turn"}, **_at(second)}


@pytest.mark.parametrize(
    "before",
    [
        [*_answer(2, "theirs"), _idle(3), *_answer(6, "ours"), _idle(9)],
        [*_answer(6, "ours"), _idle(9), _idle(10)],
        [*_answer(2, "theirs"), _idle(3), *_answer(6, "ours"), _idle(9), _idle(10)],
        [*_answer(2, "theirs"), *_answer(6, "ours"), _idle(3), _idle(9)],
    ],
    ids=["in turn", "idle twice", "both", "an idle that is late"],
)
def test_an_answer_before_the_time_of_its_message(before: list[dict[str, Any]]) -> None:
    """What came before an idle of others is theirs, and of ours nothing is lost."""
    session = HostedSession("session")
    session.dates_messages = True
    reader = Reader("Hi", session)
    reader.own.id, reader.own.is_sent = "own", True
    reader.requests.begin("turn")
    own = {"type": "user.message", "id": "own", "content": "Hi"}
    turn, history = Turn(), list[Any]()
    for each in map(Fields, [own, *before, {**own, "processed_at": _at(8)["processed_at"]}]):
        history.append(each)
        shown = reader.read(each)
        if reader.ambiguous_idle is not None:
            shown += reader.resolve_idle([*history])
        for event in shown:
            turn = fold(turn, event)
    assert (turn.text, turn.usage.output_tokens, reader.stop_reason) == ("ours", len("ours"), "end_turn")


@pytest.mark.parametrize("dates_messages", [False, True])
def test_an_empty_turn_ends_too(
    server: HostedServer, dates_messages: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("praison_nb.backends.hosted.turn.DOUBT_SECONDS", 0.2)
    server.manners = Manners(take_seconds=LATE, starts_idle=True, dates_messages=dates_messages)
    server.replay = 1000
    server.script([idle("end_turn")])
    agent = hosted(server)
    turn, _ = play(agent)
    assert (turn.text, turn.stop_reason) == ("", "end_turn") and play(agent, "two")[0].text == "two"


def test_a_stop_before_the_message_is_taken_stops_it_all_the_same(server: HostedServer) -> None:
    """An interrupt overtakes a message that waits."""
    agent = hosted(server)
    play(agent, "first")
    server.manners = Manners(take_seconds=0.5)
    gate = server.gate()
    server.script([text("Dear"), hold(gate), text("too much")])
    run = agent.begin("Hi")
    server.wait_for(lambda: messages(server)[-1] == "Hi")
    run.stop()
    assert run.wait().stop_reason == "interrupted"
    server.manners = Manners()
    assert agent.begin("next").wait().text == "next"
    assert len(sent(server, "user.interrupt")) == 2 and not gate.is_open


def test_an_interrupt_without_an_id_is_read_once(server: HostedServer) -> None:
    server.manners = Manners(names_interrupts=False)
    gate, agent = server.gate(), hosted(server)
    server.script([text("half"), hold(gate)], [hang_up("reset"), text("whole")])
    run = agent.begin("Hi")
    until(run, lambda turn: turn.text == "half")
    run.stop()
    run.wait()
    turn, _ = play(agent, "next")
    assert (turn.text, turn.stop_reason) == ("whole", "end_turn")
    server.script([text("half"), hold(gate)])
    run = agent.begin("Hi")
    until(run, lambda turn: turn.text == "half")
    server.call(lambda: server.sessions[run.turn.session_id].receive([{"type": "user.interrupt"}]))
    assert run.wait().stop_reason == "interrupted"
