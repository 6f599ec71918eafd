"""Typed answers of hosted agents: given by a tool, and rows of a map that each have a session."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pydantic
import pytest

import praison_nb
from praison_nb import Agent, HostedAgent, HostedAgentConfig
from praison_nb.backends.hosted.answer_tool import ANSWER_TOOL, TAKEN
from praison_nb.errors import ConfigError, InvalidAnswerError
from praison_nb.metering import writer
from servers.hosted import HostedServer, Tokens, custom_tool, request, text
from servers.hosted_agent import calls, created, hosted, left, messages, sent


class Ticket(pydantic.BaseModel):
    subject: str
    urgency: int


HELP = {"subject": "Help", "urgency": 3}


@pytest.fixture(autouse=True)
def ledger(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("PRAISON_NB_LEDGER", str(tmp_path / "ledger.sqlite"))
    yield
    writer.current().close()


def give(**fields: Any) -> Any:
    """A request that calls the tool."""
    return request(custom_tool(ANSWER_TOOL, fields), usage=Tokens(input=10, output=5), cents=1)


def say(words: str) -> Any:
    """A request that answers so."""
    return request(text(words), usage=Tokens(input=10, output=5), cents=1)


def given(**fields: Any) -> list[Any]:
    """The whole turn."""
    return [give(**fields), say("Done.")]


def declared(server: HostedServer, session_id: str) -> list[str]:
    """The custom tools of a session."""
    tools = server.sessions[session_id].fields["agent"]["tools"]
    return [tool["name"] for tool in tools if tool["type"] == "custom"]


def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


def test_the_call_is_the_answer(server: HostedServer) -> None:
    server.script([say("Let me see."), give(**HELP), say("Done.")])
    agent = Agent("a", hosted(server))
    assert agent.start("Which?", output=Ticket) == Ticket(**HELP)
    turn = agent.turn
    assert turn is not None and turn.text.startswith("Let me see.\n\nDone.")
    assert turn.value == Ticket(**HELP) and turn.frame.to_dict("records") == [HELP]
    (result,) = sent(server, "user.custom_tool_result")
    assert result["content"] == [{"type": "text", "text": TAKEN}]
    assert len(turn.requests) == 3 and turn.usage.output_tokens == 15
    assert declared(server, turn.session_id) == [ANSWER_TOOL]
    assert messages(server) == ["Which?\n\nGive the answer by calling give_answer."]
    # The agent itself is as it was configured.
    assert [agent[-1]["tools"][-1]["type"] for agent in server.agents.values()] == ["agent_toolset_20260401"]


def test_other_types_and_none_in_the_same_session(server: HostedServer) -> None:
    agent = Agent("a", hosted(server, tools=[add]))
    server.script([request(custom_tool("add", {"a": 2}), cents=1), say("Three.")])
    assert agent.start("2 + 1?") == "Three."
    server.script([request(custom_tool("add", {"a": 2}), cents=1), *given(value=3)])
    assert agent.start("2 + 1?", output=int) == 3
    server.script(given(value="a"), given(value="b"))
    assert agent.start("Which?", output=Literal["a", "b"]) == "a"
    assert agent.start("Which?", output=Literal["a", "b"]) == "b"
    server.script([say("Bye.")])
    assert agent.start("Bye.") == "Bye."
    assert created(server) == [1, 1, 1]
    (session_id,) = server.sessions
    assert calls(server, "POST", f"/v1/sessions/{session_id}") == 2
    assert declared(server, session_id) == ["add", ANSWER_TOOL]


def test_the_config_declares_it_with_the_agent(server: HostedServer) -> None:
    mine = hosted(server, output=Ticket)
    agent = Agent("a", mine)
    server.script(given(**HELP), given(value=2), given(**HELP))
    assert agent.start("Which?") == Ticket(**HELP)
    (versions,) = server.agents.values()
    assert versions[-1]["tools"][-1]["input_schema"]["required"] == ["subject", "urgency"]
    assert agent.start("How many?", output=int) == 2
    assert agent.start("Which?") == Ticket(**HELP)
    mine.update_agent(output=Literal["a", "b"])
    server.script(given(value="b"))
    assert agent.start("Which?") == "b"
    assert len(versions) == 2 and created(server) == [1, 1, 1]


def test_without_the_call_in_words(server: HostedServer) -> None:
    server.script([say("It is urgent.")], [say('{"subject": "Help", "urgency": 3}')])
    turn = hosted(server).begin("Which?", output=Ticket).wait()
    assert turn.value == Ticket(**HELP) and turn.text.startswith("It is urgent.")
    assert turn.usage.output_tokens == 10 and "once more" in turn.notices[-1]
    first, second = messages(server)
    assert "give_answer" in first and "Answer with JSON alone" in second


def test_twice_invalid(server: HostedServer) -> None:
    server.script(given(subject="Help"), given(subject="Help", urgency="very"))
    with pytest.raises(InvalidAnswerError, match="no Ticket: urgency") as caught:
        Agent("a", hosted(server)).start("Which?", output=Ticket)
    assert caught.value.turn.usage.output_tokens == 20 and len(messages(server)) == 2


def test_somebodys_agent_is_asked_in_words(server: HostedServer) -> None:
    owner = hosted(server, tools=[{"type": "agent_toolset_20260401"}, {**TOOL, "name": "find"}])
    owner.begin("Hi").wait()
    server.script([say('{"value": 3}')])
    mine = hosted(server, agent_id=owner.agent_id)
    turn = mine.begin("How many?", output=int).wait()
    assert turn.value == 3 and "Answer with JSON alone" in messages(server)[-1]
    assert declared(server, turn.session_id) == ["find"]


TOOL = {
    "type": "custom",
    "name": ANSWER_TOOL,
    "description": "Mine.",
    "input_schema": {"type": "object", "properties": {}},
}


def test_a_tool_of_the_users_with_its_name(server: HostedServer) -> None:
    told: list[Any] = []
    agent = hosted(server, tools=[TOOL], on_custom_tool=lambda name, given: told.append(name) or "yes")
    server.script([give(value=1), say('{"value": 3}')])
    assert agent.begin("How many?", output=int).wait().value == 3 and told == [ANSWER_TOOL]


def test_a_session_that_is_resumed(server: HostedServer) -> None:
    first = hosted(server, output=int)
    server.script(given(value=1), given(value=2))
    first.begin("How many?").wait()
    other = hosted(server, output=int)
    other.restore_ids(first.save_ids())
    assert other.begin("And now?").wait().value == 2
    assert created(server) == [1, 1, 1]


def test_an_outcome_has_no_type(server: HostedServer) -> None:
    with pytest.raises(ConfigError, match="leave output out"):
        hosted(server).define_outcome("Primes", rubric="Each is one.", output=int)


def test_a_config_with_a_type_is_a_config() -> None:
    config = HostedAgentConfig(output=Ticket)
    assert pickle.loads(pickle.dumps(config)) == config != HostedAgentConfig()
    assert "output=AnswerType(Ticket)" in repr(config)
    assert config.agent_params()["tools"][-1]["name"] == ANSWER_TOOL
    with pytest.raises(ConfigError, match="is no type of answers"):
        HostedAgentConfig(output=5)


def test_rows_have_sessions_of_their_own(server: HostedServer, tmp_path: Path) -> None:
    """Each row knows nothing of the others, and nothing is left."""
    texts = [f"text {n}" for n in range(6)]
    mine = hosted(server, output=Literal["a", "b"])
    server.script(*[given(value="b") for _ in texts])
    frame = praison_nb.map(texts, "Label: {value}", agent=mine, concurrency=2, answers=tmp_path / "kept")
    assert list(frame["value_answer"]) == ["b"] * 6 and set(frame["_status"]) == {"done"}
    assert created(server) == [1, 1, 6] and not [key for key in left(server) if key in server.sessions]
    assert all(len(each.messages()) <= 3 for each in server.sessions.values())


def test_fresh(server: HostedServer) -> None:
    mine = hosted(server)
    mine.begin("Hi").wait()
    other = mine.fresh()
    assert isinstance(other, HostedAgent) and other.session_id is None
    other.begin("Hi").wait()
    assert created(server) == [1, 1, 2] and other.session_id != mine.session_id
