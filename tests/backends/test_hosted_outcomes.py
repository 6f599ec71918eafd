"""Outcomes: a turn that works until a grader on the server is content."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from praison_nb import HostedAgent, errors as e
from praison_nb.history import User
from praison_nb.render.text import below_text
from praison_nb.session import Usage
from praison_nb.turn import Turn
from servers.hosted import HostedServer, Manners, hang_up, hold, text
from servers.hosted_agent import hosted, play, sent
from servers.hosted_outcomes import evaluation
from servers.waiting import until

RUBRIC = "Each number is prime."


def defined(agent: HostedAgent, **options: Any) -> Turn:
    return agent.define_outcome("Primes below 20", rubric=RUBRIC, **options).wait()


def test_an_outcome_is_worked_on_until_it_is_satisfied(server: HostedServer) -> None:
    server.script([text("2, 4"), evaluation("needs_revision", "4 is\nnone."), text("2, 3"), evaluation()])
    told: list[Any] = []
    agent = hosted(server)
    turn = defined(agent, max_iterations=5, subscribers=(lambda event, turn: told.append(event),))
    assert (turn.text, turn.stop_reason) == ("2, 4\n\n2, 3", "satisfied")
    assert turn.notices == (
        "Attempt 1: needs revision. 4 is none.",
        "Attempt 2: satisfied. It is as it should be.",
    )
    # Two requests of the agent's and two of the grader's, whose model nobody names.
    assert turn.usage == Usage(uncached_input_tokens=60, output_tokens=16) and turn.cost is None
    assert "outcome satisfied after" in below_text(turn)
    (outcome,) = sent(server, "user.define_outcome")
    assert outcome["rubric"] == {"type": "text", "content": RUBRIC} and outcome["max_iterations"] == 5
    assert sent(server, "user.message") == []
    # The session goes on.
    assert play(agent, "And?")[0].text == "And?"
    assert defined(agent).stop_reason == "satisfied"


@pytest.mark.parametrize(
    ("result", "line"),
    [
        ("max_iterations_reached", "outcome not reached"),
        ("failed", "its rubric does not fit the task"),
        ("interrupted", "outcome interrupted"),
    ],
)
def test_how_an_outcome_ends(server: HostedServer, result: str, line: str) -> None:
    server.script([text("4"), evaluation(result, "No."), text("Sorry.")])
    turn = defined(hosted(server))
    assert turn.stop_reason == result and line in turn.detail and turn.text == "4\n\nSorry."
    assert len(turn.notices) == 1 and "No." in turn.notices[0]


def test_a_word_of_the_future_ends_nothing(server: HostedServer) -> None:
    server.script([text("a"), evaluation("half_done", "x" * 5000), text("b"), evaluation()])
    turn = defined(hosted(server))
    assert turn.text == "a\n\nb" and turn.notices[0].startswith("Attempt 1: half_done. xxx")
    assert len(turn.notices[0]) < 1100


def test_outcomes_wait_for_each_other(server: HostedServer) -> None:
    agent = hosted(server)
    runs = [agent.define_outcome(f"Number {n}", rubric=RUBRIC) for n in range(3)]
    assert [run.wait().text for run in runs] == ["Number 0", "Number 1", "Number 2"]
    assert [run.turn.stop_reason for run in runs] == ["satisfied"] * 3


def test_the_server_has_one_already(server: HostedServer) -> None:
    agent = hosted(server)
    server.script([text("not graded")])
    defined(agent)
    error = defined(agent).error
    assert isinstance(error, e.RequestRejectedError) and "one at a time" in str(error)


def test_stop_interrupts_it(server: HostedServer) -> None:
    gate = server.gate()
    server.script([text("a"), hold(gate)])
    agent = hosted(server)
    run = agent.define_outcome("a", rubric=RUBRIC)
    until(run, lambda turn: turn.text)
    run.stop()
    assert run.wait().stop_reason == "interrupted"
    until(run, lambda turn: turn.session_usage)
    assert defined(agent).stop_reason == "satisfied"
    gate.open()


@pytest.mark.parametrize("replay", [0, 1000])
@pytest.mark.parametrize(
    "manners",
    [
        Manners(take_seconds=0.003, starts_idle=True),
        Manners(take_seconds=0.003, tells_running=False, starts_idle=True),
        Manners(dates_messages=False, lists_by_arrival=True, starts_idle=True),
    ],
    ids=["late", "never running", "undated"],
)
def test_its_own_idle_ends_it(server: HostedServer, manners: Manners, replay: int) -> None:
    server.manners, server.replay, server.lag = manners, replay, 1
    agent = hosted(server)
    for n in range(3):
        turn = agent.define_outcome(f"d{n}", rubric=RUBRIC).wait()
        assert (turn.text, turn.stop_reason) == (f"d{n}", "satisfied")
        assert play(agent, f"m{n}")[0].text == f"m{n}"


def test_a_lost_stream_and_a_lost_answer(server: HostedServer) -> None:
    server.script([text("a"), hang_up("reset"), text("b"), evaluation()])
    agent = hosted(server)
    assert defined(agent).text == "a\n\nb"
    assert len(sent(server, "user.define_outcome")) == 1


def test_a_restored_kernel_takes_it_up_again(server: HostedServer) -> None:
    gate = server.gate()
    server.script([text("a"), hold(gate), text("b"), evaluation()])
    first, second = hosted(server), hosted(server)
    run = first.define_outcome("Primes", rubric=RUBRIC)
    turn = until(run, lambda turn: turn.text)
    second.restore_ids(first.save_ids())
    again = second.attach(Turn(id=turn.id, prompt="Primes"))
    until(again, lambda turn: turn.text)
    gate.open()
    assert (again.wait().text, again.turn.stop_reason) == ("a\n\nb", "satisfied")
    assert run.wait().usage == again.turn.usage


async def test_it_is_in_the_messages(server: HostedServer) -> None:
    agent = hosted(server)
    defined(agent)
    from praison_nb.runtime import loop

    items = loop.run_sync(lambda: agent.read_messages(agent.session))
    assert isinstance(items[0], User) and items[0].text == "Primes below 20" and len(items) == 2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"rubric": ""}, "rubric must say"),
        ({"rubric": None}, "rubric must say"),
        ({"rubric": Path("missing.md")}, "cannot be read"),
        ({"rubric": {"type": "file"}}, "rubric as a dict is"),
        ({"rubric": {}}, "rubric as a dict is"),
        ({"rubric": "x" * 262_145}, "262,144"),
        ({"rubric": "x", "max_iterations": 21}, "1 to 20"),
        ({"rubric": "x", "max_iterations": True}, "1 to 20"),
        ({"rubric": "x", "description": " "}, "empty"),
    ],
)
def test_what_is_no_outcome(server: HostedServer, given: dict[str, Any], said: str) -> None:
    with pytest.raises(e.ConfigError, match=said) as raised:
        hosted(server).define_outcome(given.pop("description", "d"), **given)
    assert "\n" not in str(raised.value) and not server.sessions


def test_where_a_rubric_comes_from(server: HostedServer, tmp_path: Path) -> None:
    (tmp_path / "rubric.md").write_text("From a file: ü")
    agent = hosted(server)
    for rubric in (tmp_path / "rubric.md", "file_011abc", {"type": "text", "content": "as it is"}):
        agent.define_outcome("d", rubric=rubric).wait()
    rubrics = [each["rubric"] for each in sent(server, "user.define_outcome")]
    assert rubrics == [
        {"type": "text", "content": "From a file: ü"},
        {"type": "file", "file_id": "file_011abc"},
        {"type": "text", "content": "as it is"},
    ]
