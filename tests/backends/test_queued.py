"""Turns that wait for the one before them, in one session."""

from __future__ import annotations

import asyncio

import pytest

from praison_nb.backends.base import Backend
from praison_nb.backends.scripted import ScriptedBackend
from praison_nb.events import TextDelta
from praison_nb.runtime.run import Run
from praison_nb.session import Status
from servers.hosted import HostedServer, hold, text
from servers.hosted_agent import hosted, messages
from servers.waiting import until


def held() -> ScriptedBackend:
    async def wait(run: Run) -> None:
        await asyncio.Event().wait()

    return ScriptedBackend([TextDelta(text="begun"), wait])


def two(agent: Backend) -> list[Run]:
    """One that is under way and one that waits for it."""
    first = agent.begin("one", caller_waits=False)
    until(first, lambda turn: turn.text)
    second = agent.begin("two", caller_waits=False)
    until(second, lambda turn: turn.activity)
    return [first, second]


@pytest.mark.parametrize("end", ["interrupt", "reset_session", "reset_all"])
def test_all_of_them_are_stopped(end: str) -> None:
    agent = held()
    runs = two(agent)
    assert agent.session.status(Status.NONE) is Status.RUNNING and agent.session.run is runs[0]
    old = agent.session
    getattr(agent, end)()
    turns = [until(run, lambda turn: turn.ended) for run in runs]
    assert [(turn.stop_reason, turn.text) for turn in turns] == [
        ("interrupted", "begun"),
        ("interrupted", ""),
    ]
    assert old.status(Status.NONE) is Status.IDLE and old.run is runs[1]


def test_a_session_says_that_it_runs_while_any_turn_does() -> None:
    agent = held()
    first, second = two(agent)
    second.stop()
    until(second, lambda turn: turn.ended)
    assert agent.session.status(Status.NONE) is Status.RUNNING
    first.stop()
    until(first, lambda turn: turn.ended)
    assert agent.retrieve_session()["status"] == "idle"


def test_hosted(server: HostedServer) -> None:
    gate = server.gate()
    server.script([text("begun"), hold(gate)])
    agent = hosted(server)
    runs = two(agent)
    agent.reset_session()
    assert [until(run, lambda turn: turn.ended).stop_reason for run in runs] == ["interrupted"] * 2
    gate.open()
    assert messages(server) == ["one"]
