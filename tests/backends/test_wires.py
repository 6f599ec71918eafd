"""Whole conversations of a LocalAgent on each of the three wires, against servers that refuse what the real
ones refuse."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from praison_nb import Agent, LocalAgent, LocalAgentConfig, Turn, errors as e
from praison_nb.backends import silence
from praison_nb.events import Activity, Event, RequestFinished
from praison_nb.history import Call, Opaque, Result, Text, User, from_row, to_json
from praison_nb.metering import writer
from praison_nb.render.html import turn_html
from praison_nb.session import Usage
from praison_nb.store.sessions import Store, append_messages
from servers import messages, openai, responses
from servers.messages import MessagesServer
from servers.openai import OpenAIServer
from servers.responses import ResponsesServer

SERVERS: dict[str, tuple[Any, Any, str]] = {
    "chat": (OpenAIServer, openai, ""),
    "responses": (ResponsesServer, responses, "openai"),
    "messages": (MessagesServer, messages, "anthropic"),
}


@dataclass(frozen=True)
class Peer:
    """A scripted server on one wire. `provider` is who it stands for."""

    wire: str
    server: Any
    reply: Callable[..., list[Any]]
    provider: str

    def fields(self, **more: Any) -> dict[str, Any]:
        return {
            "model": "m",
            "wire": self.wire,
            "provider": self.provider,
            "base_url": self.server.base_url,
            "api_key": "test-key",
            **more,
        }

    def agent(self, **fields: Any) -> LocalAgent:
        return LocalAgent(LocalAgentConfig(**self.fields(**fields)))


def peer_of(wire: str, stack: ExitStack) -> Peer:
    kind, module, provider = SERVERS[wire]
    return Peer(wire, stack.enter_context(kind()), module.reply, provider)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture(params=SERVERS)
def peer(request: pytest.FixtureRequest, stack: ExitStack) -> Peer:
    return peer_of(request.param, stack)


def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


def ask(agent: LocalAgent, prompt: str = "Hi") -> Turn:
    return agent.begin(prompt).wait()


def well(turn: Turn, text: str = "") -> bool:
    assert turn.error is None, turn.error
    assert turn.stop_reason == "end_turn"
    return turn.text == text


def is_counted(usage: Usage) -> bool:
    return usage.input_tokens > 0 and usage.output_tokens > 0 and not usage.estimated


def test_an_answer_and_its_usage(peer: Peer) -> None:
    turn = ask(peer.agent(system="Be brief."), "echo me")
    assert well(turn, "echo me") and is_counted(turn.usage)
    assert turn.backend == "local" and len(turn.requests) == 1


def test_three_rounds_of_tools(peer: Peer) -> None:
    rounds = [[("add", '{"a": 1}'), ("add", '{"a": 2, "b": 3}')], [("add", '{"a": 3}')], [("nobody", "[1]")]]
    peer.server.script(*(peer.reply("I add.", calls=calls) for calls in rounds), peer.reply("Done."))
    agent = peer.agent(tools=[add])
    turn = ask(agent)
    assert [call.result for call in turn.tools[:3]] == ["2", "5", "4"] and turn.tools[3].is_error
    assert well(turn, "\n\n".join(["I add."] * 3 + ["Done."])) and len(peer.server.bodies) == 4
    assert well(ask(agent, "And now?"), "And now?")
    kinds = [type(item) for item in agent.session.messages if not isinstance(item, Opaque)]
    one = [Text, Call, Result]
    assert kinds == [User, Text, Call, Call, Result, Result, *one, *one, Text, User, Text]


def test_stopped_in_a_tool(peer: Peer) -> None:
    started = threading.Event()

    async def forever() -> None:
        started.set()
        await asyncio.Event().wait()

    peer.server.script(peer.reply("Let me see.", calls=[("forever", "{}"), ("add", '{"a": 1}')]))
    agent = peer.agent(tools=[forever, add])
    run = agent.begin("Hi")
    threading.Thread(target=lambda: (started.wait(), run.stop())).start()
    assert run.wait().stop_reason == "interrupted"
    peer.server.script(peer.reply(calls=[("add", '{"a": 4}')]), peer.reply("Five."))
    assert well(ask(agent, "Go on."), "Five.")
    assert well(ask(agent, "Thanks."), "Thanks.")


def test_max_turns(peer: Peer) -> None:
    peer.server.script(peer.reply(calls=[("add", '{"a": 1}')]))
    agent = peer.agent(tools=[add], max_turns=1)
    assert ask(agent).stop_reason == "max_turns"
    assert well(ask(agent, "Go on."), "Go on.")
    assert well(ask(agent, "Still?"), "Still?")


def test_no_tools_any_more(peer: Peer) -> None:
    """A history with calls, and an agent that has none to declare."""
    peer.server.script(peer.reply(calls=[("add", '{"a": 1}')]), peer.reply("Two."))
    agent = peer.agent(tools=[add])
    ask(agent)
    agent.update_agent(tools=[])
    assert well(ask(agent, "Thanks."), "Thanks.")


def test_kept_and_gone_on_with(peer: Peer, tmp_path: Path) -> None:
    peer.server.script(peer.reply("I add.", calls=[("add", '{"a": 1}')]), peer.reply("Two."))
    first = peer.agent(tools=[add])
    ask(first)
    kept = Store(tmp_path / "sessions.sqlite")
    kept.change(append_messages("1", "t", [json.loads(json.dumps(row)) for row in rows(first)]))
    second = peer.agent(tools=[add])
    second.session.messages[:] = [from_row(row) for row in kept.history("1")]
    assert second.session.messages == first.session.messages
    peer.server.script(peer.reply(calls=[("add", '{"a": 5}')]), peer.reply("Six."))
    assert well(ask(second, "More."), "Six.")


def rows(agent: LocalAgent) -> list[Any]:
    return [to_json(item) for item in agent.session.messages]


@pytest.mark.parametrize("other", SERVERS)
def test_to_another_provider_and_back(peer: Peer, other: str, stack: ExitStack) -> None:
    there = peer_of(other, stack)
    agent = peer.agent(tools=[add])
    for number, side in enumerate((peer, there, peer, there)):
        agent.update_agent(**side.fields(model=f"m-{side is there}"))
        side.server.script(side.reply(calls=[("add", json.dumps({"a": number}))]), side.reply("Done."))
        assert well(ask(agent, f"Round {number}"), "Done.")


@pytest.mark.parametrize("old", [True, False])
def test_messages_of_before(peer: Peer, old: bool) -> None:
    function = {"name": "add", "arguments": '{"a": 1}'}
    said: list[Any] = [
        {"role": "user", "content": "Add."},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
        },
    ]
    if old:
        said += [
            {"role": "tool", "tool_call_id": "call_1", "content": "2"},
            {"role": "assistant", "content": "2"},
        ]
    agent = peer.agent()
    agent.session.messages[:] = said
    assert well(ask(agent, "Go on."), "Go on.")
    assert agent.session.messages[: len(said)] == said


TOLD_TIER: dict[str, Callable[[Any, str], None]] = {
    "chat": lambda step, tier: step.update(service_tier=tier),
    "responses": lambda step, tier: step.get("response", {}).update(service_tier=tier),
    "messages": lambda step, tier: step.get("message", {}).get("usage", {}).update(service_tier=tier),
}


@pytest.mark.parametrize("is_told", [True, False])
def test_the_tier_that_served_has_the_price(peer: Peer, is_told: bool) -> None:
    """The one that the answer names, else the one that was asked for."""
    if peer.wire == "messages" and not is_told:
        pytest.skip("a request of Messages cannot name a tier of this kind")
    made = peer.reply("Hello.")
    for step in made if is_told else ():
        if isinstance(step, dict):
            TOLD_TIER[peer.wire](step, "priority")
    peer.server.script(made)
    turn, events = follow(peer.agent(options={"service_tier": "auto" if is_told else "priority"}))
    (finished,) = (event for event in events if isinstance(event, RequestFinished))
    assert well(turn, "Hello.") and finished.service_tier == "priority"
    # Anthropic sells this tier by contract.
    assert (finished.cost_source == "table") == (peer.wire == "responses")


def only_thoughts(wire: str) -> list[Any]:
    if wire == "messages":
        return messages.reply(thinking="Hm.")
    if wire == "responses":
        return responses.steps(responses.reasoning(summary=["Hm."]))
    thought = openai.chunk({"reasoning_content": "Hm."})
    return [thought, openai.chunk({}, finish_reason="stop"), openai.usage(3, 2), openai.DONE]


@pytest.mark.parametrize("way", ["start", "stream", "execute"])
def test_an_answer_that_is_only_reasoning(peer: Peer, way: str, caplog: pytest.LogCaptureFixture) -> None:
    peer.server.script(only_thoughts(peer.wire))
    backend = peer.agent()
    agent = Agent("thinker", backend)
    match way:
        case "start":
            assert agent.start("Hi") == ""
        case "stream":
            assert list(agent.start("Hi", stream=True)) == []
        case _:
            assert asyncio.run(backend.execute("Hi")) == ""
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert told == ["no answer: The model thought and gave no answer: ask again."]
    if turn := agent.turn:
        assert "note: The model thought and gave no answer: ask again." in str(turn)
        assert "gave no answer" in turn_html(turn) and turn.usage.output_tokens > 0
    assert well(ask(backend, "Again?"), "Again?")


def nothing(wire: str) -> list[Any]:
    if wire == "messages":
        return messages.reply("")
    if wire == "responses":
        return responses.steps()
    return [openai.chunk({}, finish_reason="stop"), openai.usage(3, 0), openai.DONE]


def test_an_answer_that_is_empty_says_so(peer: Peer) -> None:
    peer.server.script(nothing(peer.wire))
    backend = peer.agent()
    assert "note: The model's answer is empty: ask again." in str(ask(backend, "Hi"))
    assert well(ask(backend, "Again?"), "Again?")


NO_LONGER = [
    "messages.1.content.0: Invalid `signature` in `thinking` block",
    "The encrypted content for item rs_1 could not be verified.",
]


@pytest.mark.parametrize("words", NO_LONGER)
@pytest.mark.parametrize("wire", ["responses", "messages"])
def test_thoughts_that_the_server_no_longer_takes(wire: str, words: str, stack: ExitStack) -> None:
    peer = peer_of(wire, stack)
    more: dict[str, Any] = {"model": "claude-opus-4-8"} if wire == "messages" else {}
    agent = peer.agent(tools=[add], **more)
    peer.server.script(peer.reply("I add.", thinking="Hm.", calls=[("add", '{"a": 1}')]), peer.reply("Two."))
    assert well(ask(agent), "I add.\n\nTwo.") and "Hm." in json.dumps(peer.server.bodies[-1])
    peer.server.refuse(status=400, message=words)
    turn = ask(agent, "And?")
    assert well(turn, "And?") and len(turn.requests) == 2 and "without it" in str(turn)
    assert well(ask(agent, "Still?"), "Still?") and len(peer.server.bodies) == 5
    assert "Hm." not in json.dumps(peer.server.bodies[3:])
    assert any(isinstance(item, Opaque) for item in agent.session.messages)


# Attempts


def refused(peer: Peer, count: int, **how: Any) -> None:
    peer.server.refuse(count, **{"status": 503, "headers": {"retry-after-ms": "1"}, **how})


def follow(agent: LocalAgent, prompt: str = "echo me") -> tuple[Turn, list[Event]]:
    events: list[Event] = []
    run = agent.begin(prompt, subscribers=[lambda event, turn: events.append(event)])
    return run.wait(), events


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503])
def test_each_attempt_is_seen(peer: Peer, status: int) -> None:
    refused(peer, 2, status=status)
    turn, events = follow(peer.agent())
    assert well(turn, "echo me") and is_counted(turn.usage)
    waits = [event.text for event in events if isinstance(event, Activity) and "again" in event.text]
    assert len(waits) == 2 and all(f"trying again in 0 s ({status})" in each for each in waits)
    counts = [event.usage for event in events if isinstance(event, RequestFinished)]
    assert counts[:2] == [Usage(), Usage()] and len(turn.requests) == 3


@pytest.mark.parametrize("how", [{"status": 400}, {"status": 401}, {"headers": {"retry-after": "600"}}])
def test_what_does_not_get_better_is_not_tried_again(peer: Peer, how: dict[str, Any]) -> None:
    refused(peer, 9, **how)
    turn, _ = follow(peer.agent())
    assert isinstance(turn.error, e.ProviderError) and len(turn.requests) == 1


def test_no_more_than_two_attempts_more(peer: Peer) -> None:
    refused(peer, 9)
    turn, _ = follow(peer.agent())
    assert isinstance(turn.error, e.ServerError) and len(turn.requests) == 3


def test_stop_ends_the_wait(peer: Peer) -> None:
    refused(peer, 9, headers={"retry-after": "50"})
    waiting = threading.Event()
    run = peer.agent().begin("Hi")
    run.subscribe(lambda event, turn: waiting.set() if "again" in turn.activity else None)
    assert waiting.wait(60)
    run.stop()
    turn = run.wait()
    assert turn.stop_reason == "interrupted" and turn.usage == Usage() and not turn.is_cut_off


def test_each_attempt_is_in_the_ledger(peer: Peer) -> None:
    refused(peer, 1)
    follow(peer.agent())
    current = writer.current()
    current.flush()
    assert current.ledger.read("SELECT count(*) FROM requests") == [(2,)]


def test_long_silence_is_reported(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "SILENCE", 0.05)
    monkeypatch.setattr(silence, "LOOK", 0.05)
    hold = peer.server.gate()
    steps = peer.reply("Done.")
    peer.server.script([*steps[:2], hold, *steps[2:]])
    run = peer.agent().begin("Hi")
    run.subscribe(lambda event, turn: hold.open() if turn.activity.startswith("nothing for") else None)
    turn = run.wait()
    assert well(turn, "Done.") and not turn.activity


# Cut off


def has_end(wire: str, steps: list[Any], in_peace: bool) -> bool:
    """Whether the answer is whole though the stream ends behind these steps."""
    events = [step for step in steps if isinstance(step, dict)]
    match wire:
        case "chat":
            return any(choice.get("finish_reason") for event in events for choice in event["choices"])
        case "messages":
            return any(event["type"] == "message_delta" for event in events)
    kinds = [event["type"] for event in events]
    if "response.completed" in kinds:
        return True
    begun, done = (kinds.count(f"response.output_item.{word}") for word in ("added", "done"))
    return in_peace and begun == done > 0


@pytest.mark.parametrize("in_peace", [True, False])
@pytest.mark.parametrize("calls", [[], [("add", '{"a": 1}')]], ids=["text", "call"])
def test_cut_behind_every_event(peer: Peer, calls: list[tuple[str, str]], in_peace: bool) -> None:
    whole = peer.reply("Hello.", calls=calls)
    for at in range(1, len(whole) + 1):
        steps = whole[:at] if in_peace else [*whole[:at], openai.CutHere(reset=bool(at % 2))]
        agent = peer.agent(tools=[add])
        peer.server.script(steps, *([peer.reply("Two.")] if calls else []))
        # Cut before anything of the answer came, it is asked again, and echoed.
        turn = ask(agent, "Hello.")
        if has_end(peer.wire, whole[:at], in_peace):
            assert turn.error is None and turn.stop_reason == "end_turn", at
            is_all = len(turn.tools) == len(calls)
            assert turn.text == ("Hello.\n\nTwo." if calls and is_all else "Hello."), at
        elif turn.error is not None:
            assert isinstance(turn.error, e.UnreachableError) and "Hello.".startswith(turn.text), at
            assert not turn.tools and turn.usage.output_tokens > 0
        else:
            assert len(turn.requests) > 1 and turn.text in ("Hello.", "Two."), at
        peer.server._scripts.clear()
