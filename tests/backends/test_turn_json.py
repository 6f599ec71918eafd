"""Turns of every backend as JSON, after each of their events."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from praison_nb import HostedAgent, HostedAgentConfig, LocalAgent, LocalAgentConfig
from praison_nb.backends import as_backend
from praison_nb.backends.base import Backend
from praison_nb.render.html import turn_html
from praison_nb.render.text import turn_text
from praison_nb.turn import Turn
from praison_nb.turn_json import from_json, to_json
from servers.hosted import HostedServer, custom_tool, hold, text
from servers.openai import CutHere, OpenAIServer, chunk, reply
from servers.waiting import until


def watched(backend: Backend, *, stop_at: str = "") -> Turn:
    """A turn to its end, each state of which was looked at; stopped when it has said `stop_at`."""
    states: list[Turn] = []
    run = backend.begin("What is <b>there</b>?", subscribers=(lambda _, turn: states.append(turn),))
    if stop_at:
        until(run, lambda turn: turn.text.endswith(stop_at))
        run.stop()
    turn = run.wait()
    assert len(states) > 1 and states[-1].ended is not None
    for state in states:
        made = from_json(json.loads(json.dumps(to_json(state))))
        assert to_json(made) == to_json(state)
        assert (made.text, made.tools, made.usage) == (state.text, state.tools, state.usage)
        assert (made.status, made.cost, made.spent, made.requests) == (
            state.status,
            state.cost,
            state.spent,
            state.requests,
        )
        if state.ended is not None:
            assert (turn_html(made), turn_text(made)) == (turn_html(state), turn_text(state))
    return turn


def look(place: str) -> str:
    """Look there."""
    if place == "nowhere":
        raise ValueError("no such <place>")
    return f"seen at {place}"


CALLS = [("look", '{"place": "a"}'), ("look", '{"place": "nowhere"}')]
LOCAL: dict[str, tuple[list[Any], str]] = {
    "answer": ([reply("It **is** `seen`. ä😀", usage=(9, 3, 4))], "end_turn"),
    "tools": (
        [reply(calls=CALLS), reply("Ok")],
        "end_turn",
    ),
    "max_tokens": ([reply("to the brim", finish="length")], "max_tokens"),
    "broken": ([[chunk({"content": "so far"}), CutHere()]], "error"),
    "no usage": ([reply("none", usage=None)], "end_turn"),
}


@pytest.mark.parametrize("name", LOCAL)
def test_local(openai_server: OpenAIServer, name: str) -> None:
    config = LocalAgentConfig(model="gpt-4o-mini", base_url=openai_server.base_url, api_key="k", tools=[look])
    script, reason = LOCAL[name]
    openai_server.script(*script)
    turn = watched(LocalAgent(config=config))
    assert turn.stop_reason == reason and len(turn.tools) == (2 if name == "tools" else 0)


def test_local_refused_and_stopped(openai_server: OpenAIServer) -> None:
    agent = LocalAgent(config=LocalAgentConfig(model="m", base_url=openai_server.base_url, api_key="k"))
    openai_server.refuse(1, status=400, message="no <b>such</b> thing")
    assert watched(agent).error is not None
    openai_server.script([chunk({"content": "so far"}), openai_server.gate()])
    assert watched(agent, stop_at="so far").stop_reason == "interrupted"


def test_hosted(server: HostedServer) -> None:
    config = HostedAgentConfig(base_url=server.url, api_key=server.api_key, tools=[look])
    agent = HostedAgent(config=config)
    server.script([custom_tool("look", {"place": "a"}), text("Seen.")])
    assert watched(agent).tools
    server.script([text("so far"), hold(server.gate())])
    assert watched(agent, stop_at="so far").stop_reason == "interrupted"
    server.refuse(1, status=400, method="POST", path="/events")
    assert watched(agent).error is not None


def test_custom() -> None:
    class Mine:
        def execute(self, prompt: str, **kwargs: Any) -> str:
            return prompt

        async def stream(self, prompt: str, **kwargs: Any) -> AsyncIterator[str]:
            yield "so far"
            raise RuntimeError("no <luck>")

        def reset_session(self) -> None: ...

        def reset_all(self) -> None: ...

        def retrieve_session(self) -> dict[str, Any]:
            return {"id": "mine", "status": "idle"}

    turn = watched(as_backend(Mine()))
    assert turn.text == "so far" and turn.error is not None
