"""Histories of all kinds on the chat wire, against what the providers' servers refuse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

import pytest
from openai import OpenAI

from praison_nb.backends.local import rules as known
from praison_nb.backends.local.wires.base import ModelRequest, Rules
from praison_nb.backends.local.wires.chat import WIRE
from praison_nb.backends.local.wires.reply import Reply
from praison_nb.history import Call, Item, Opaque, Result, Text, User, from_json, to_json
from praison_nb.tools.tool import Tool
from servers.chat_rules import refusal
from servers.openai import DONE, OpenAIServer, Step, call, chunk, reply, usage

SERVERS: dict[str, Rules] = {
    "openai": known.OPENAI["chat"],
    "openai-reasoning": known.OPENAI["chat"],
    "mistral": known.MISTRAL["chat"],
    "gemini": known.GEMINI["chat"],
    "deepseek": known.DEEPSEEK["chat"],
    "bedrock": known.STRICTEST["chat"],
    "template": known.TEMPLATES["chat"],
    "gguf": replace(known.EMBEDDED, system_role="user"),
    "nobody": known.STRICTEST["chat"],
}
FOREIGN = [
    Opaque(wire="responses", model="openai/gpt-5.6", payload={"type": "reasoning", "id": "rs_1"}),
    Opaque(wire="chat", model="gemini/other", payload={"call": {"extra_content": {"google": {"x": "y"}}}}),
]


def add(a: int, b: int = 1) -> int:
    """Add."""
    return a + b


def search(
    where: dict[str, int], kind: Literal["fast", "whole"] = "fast", limit: int | None = None, more: Any = None
) -> list[str]:
    """Search."""
    return [*where, kind, str(limit), str(more)]


TOOLS = [Tool.of(add), Tool.of(search)]
ANSWER = Text(text="It is 3.")


def round_(key: str, name: str = "add", arguments: str = '{"a": 1}') -> list[Item]:
    return [Call(id=key, name=name, arguments=arguments), Result(call_id=key, text="2")]


HISTORIES: dict[str, list[Item]] = {
    "three rounds": [
        User(text="1"),
        *round_("call_1"),
        Text(text="So"),
        *round_("call_2"),
        *round_("call_3"),
        ANSWER,
    ],
    "parallel calls": [
        User(text="1"),
        Call(id="a", name="add"),
        Text(text="And"),
        Call(id="b", name="add"),
        Result(call_id="b", text="2"),
        Result(call_id="a", text="1"),
        ANSWER,
    ],
    "stopped in a tool": [User(text="1"), Text(text="I will"), Call(id="call_1", name="add")],
    "stopped in one of two tools": [
        User(text="1"),
        Call(id="a", name="add"),
        Call(id="b", name="add"),
        Result(call_id="b", text="2"),
    ],
    "max_turns": [User(text="1"), *round_("call_1"), *round_("call_2")],
    "stopped twice": [User(text="1"), Call(id="a", name="add"), User(text="2"), Call(id="a", name="add")],
    "half an answer": [User(text="1"), Text(text="It i")],
    "no answer": [User(text="1"), User(text="2")],
    "one id for all": [User(text="1"), *round_("x"), *round_("x"), ANSWER, User(text="2"), *round_("x")],
    "ids of all makers": [
        User(text="1"),
        *[
            item
            for key in ("toolu_01A", "call_" + 60 * "x", "", "ü", "Ab3dE6gH9", "123")
            for item in round_(key)
        ],
        ANSWER,
    ],
    "what a model should not call": [
        User(text="1"),
        *round_("1", "no such tool!", "{"),
        *round_("2", "", "[1]"),
        *round_("3", "add", ""),
        ANSWER,
    ],
    "of another maker": [User(text="1"), *FOREIGN, *round_("fc_1"), *FOREIGN, ANSWER],
    "half a character": [User(text="\ud83d"), Text(text="caf\udce9"), *round_("\ud83d", "\ud83d"), ANSWER],
    "its beginning left out": [ANSWER],
}


def asked(server: str, history: list[Item], **more: Any) -> ModelRequest:
    rules = SERVERS[server]
    options = {"rules": rules, "tools": TOOLS, "system": "Be brief.", "session_id": "local-1", **more}
    return ModelRequest(model="gpt-5.6-terra", origin=f"{server}/m", history=history, **options)


@pytest.mark.parametrize("tools", [TOOLS, []], ids=["tools", "no tools any more"])
@pytest.mark.parametrize("history", HISTORIES)
@pytest.mark.parametrize("server", SERVERS)
def test_no_server_refuses_a_history(server: str, history: str, tools: list[Tool]) -> None:
    body = WIRE.request(asked(server, [*HISTORIES[history], User(text="Go on")], tools=tools))
    assert refusal(body, server) is None
    said = "\n".join(str(message["content"]) for message in body["messages"])
    assert "Go on" in said and "Be brief." in said
    for item in HISTORIES[history]:
        if isinstance(item, Text | User) and item.text.isascii():
            assert item.text in said


@pytest.mark.parametrize("history", HISTORIES)
def test_what_is_said_later_changes_nothing_of_what_was_said(history: str) -> None:
    """A cache of the provider's holds what begins alike."""
    items = [*HISTORIES[history], User(text="Go on")]
    before = WIRE.request(asked("nobody", items))["messages"]
    after = WIRE.request(asked("nobody", [*items, *round_("later"), ANSWER, User(text="And?")]))["messages"]
    assert after[: len(before)] == before


OPENAI_LIKE: list[dict[str, Any]] = [
    {"role": "user", "content": "1"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "add", "arguments": "{}"}}],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "2"},
    {"role": "user", "content": "Go on"},
]


@pytest.mark.parametrize(
    ("server", "reason"),
    [
        ("openai-reasoning", "set reasoning_effort to 'none'"),
        ("mistral", "Unexpected role 'user' after role 'tool'"),
        ("gemini", "missing a thought_signature"),
        ("deepseek", "reasoning_content"),
        ("bedrock", "`tools=` param"),
        ("template", "must alternate"),
        ("gguf", "must alternate"),
        ("nobody", "Unexpected role"),
    ],
)
def test_each_server_has_rules_of_its_own(server: str, reason: str) -> None:
    """What OpenAI's older models take."""
    tools = (
        [] if server == "bedrock" else [{"type": "function", "function": {"parameters": {"type": "object"}}}]
    )
    body = {"model": "m", "messages": OPENAI_LIKE, "tools": tools}
    assert refusal(body, "openai") is None
    refused = refusal(body, server)
    assert refused is not None and reason in str(refused)


@pytest.fixture(scope="module")
def client() -> Iterator[OpenAI]:
    with OpenAI(base_url="http://127.0.0.1", api_key="k", max_retries=0) as client:
        yield client


def ask(client: OpenAI, server: OpenAIServer, request: ModelRequest) -> Reply:
    """One request by the real SDK, its chunks read by the wire."""
    reader = WIRE.reader(request)
    # What it shares with the fixture is what takes long to make: its connections.
    asking = client.with_options(base_url=server.base_url)
    for each in asking.chat.completions.create(stream=True, **WIRE.request(request)):
        list(reader.read(each.to_dict()))
    list(reader.end())
    return reader.reply


SIGNATURE = {"google": {"thought_signature": "c2lnbmVk/+=="}}


def calls(number: int) -> list[Step]:
    """Two calls at once, signed as Gemini signs them, behind thoughts as DeepSeek has them."""
    return [
        chunk({"role": "assistant", "reasoning_content": "I should "}),
        chunk({"reasoning_content": f"add {number}."}),
        *call("add", f'{{"a": {number}}}', f"function-call-{number}", 0, extra_content=SIGNATURE),
        *call("add", '{"a": 5}', f"function-call-{number}-b", 1),
        chunk({}, finish_reason="tool_calls"),
        usage(9, 4),
        DONE,
    ]


@pytest.mark.parametrize("rules", [name for name in SERVERS if name != "gguf"])
def test_three_rounds_of_tools_and_on_to_another_provider_and_back(client: OpenAI, rules: str) -> None:
    """Each through the store, where nothing of an item may change."""
    history: list[Item] = [User(text="Add")]

    def say(server: OpenAIServer, name: str, *replies: list[Step]) -> None:
        server.script(*replies)
        for _ in replies:
            made = ask(client, server, asked(name, history))
            results = [Result(call_id=part.id, text="2") for part in made.calls]
            history.extend(again for item in (*made.items, *results) for again in from_json(to_json(item)))

    with OpenAIServer(rules) as here, OpenAIServer("nobody") as there:
        say(here, rules, calls(1), calls(2), calls(3), reply("Done"))
        before = here.bodies[-1]["messages"]
        history.append(User(text="And now?"))
        say(there, "nobody", calls(4), reply("There"))
        history.append(User(text="Back again?"))
        say(here, rules, calls(5), reply("Back"))
        assert not here.refused and not there.refused
        assert here.bodies[-1]["messages"][: len(before)] == before
        sent = [m for m in here.bodies[-1]["messages"] if m.get("tool_calls")]
        foreign = [m for m in there.bodies[-1]["messages"] if m.get("tool_calls")]
    assert [item.text for item in history if isinstance(item, Text)] == ["Done", "There", "Back"]
    thoughts = [message.get("reasoning_content") for message in sent]
    signed = [[each.get("extra_content") for each in message["tool_calls"]] for message in sent]
    own = ["I should add 1.", "I should add 2.", "I should add 3.", "", "I should add 5."]
    assert thoughts == (own if rules == "deepseek" else [None] * 5)
    if rules == "gemini":
        # Unsigned ones of another model carry the word that Google has for them.
        assert [pair for place, pair in enumerate(signed) if place != 3] == [[SIGNATURE, None]] * 4
        assert signed[3][0] not in (None, SIGNATURE)
    else:
        assert signed == [[None, None]] * 5
    assert "extra_content" not in str(foreign) and "reasoning_content" not in str(foreign)
