"""What the chat wire asks, and what it keeps to send back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from praison_nb.backends.local import rules as known
from praison_nb.backends.local.wires.base import Effort, Rules
from praison_nb.backends.local.wires.chat import WIRE
from praison_nb.backends.local.wires.schemas import plain_schema
from praison_nb.errors import ConfigError
from praison_nb.history import Call, Opaque, Result, Text, User
from praison_nb.tools.tool import Tool
from servers.chat_chunks import GEMINI, JSON, TOOLS, Read, chunk, piece, request

# What must come back


def test_what_must_come_back_stands_before_what_it_led_to() -> None:
    signed = {"google": {"thought_signature": "c2ln"}}
    read = Read(
        chunk({"content": "So"}),
        piece("add", '{"a"', index=0, id="c"),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}, "extra_content": signed}]}),
        piece("other", "{}", index=1, id="d"),
        chunk(None, "stop"),
        rules=GEMINI,
    )
    kinds = [type(item) for item in read.reply.items]
    assert kinds == [Text, Opaque, Call, Call]
    assert read.reply.items[1] == Opaque(
        wire="chat", model="x/m", payload={"call": {"extra_content": signed}}
    )
    history = [User(text="Hi"), *read.reply.items, Result(call_id="c"), Result(call_id="d")]
    message = WIRE.request(request(history=history, rules=GEMINI))["messages"][1]
    assert [each.get("extra_content") for each in message["tool_calls"]] == [signed, None]


def test_parts_of_reasoning_come_back_whole_and_in_order() -> None:
    def part(**fields: Any) -> JSON:
        return chunk({"reasoning_details": [{"type": "reasoning.text", "index": 0, **fields}]})

    sealed = {"type": "reasoning.encrypted", "index": 1, "data": "x"}
    read = Read(
        part(text="I ", signature=None),
        part(text="add."),
        part(signature="s"),
        chunk({"reasoning_details": [sealed]}),
        piece("add", "{}"),
        rules=known.OPENROUTER["chat"],
    )
    first = read.reply.items[0]
    assert isinstance(first, Opaque) and first.payload["message"]["reasoning_details"] == [
        {"type": "reasoning.text", "index": 0, "text": "I add.", "signature": "s"},
        sealed,
    ]


def test_an_answer_without_calls_has_nothing_that_must_come_back() -> None:
    rules = known.DEEPSEEK["chat"]
    assert [
        type(item)
        for item in Read(chunk({"reasoning_content": "Hm", "content": "x"}), rules=rules).reply.items
    ] == [Text]


# What it asks


def test_a_plain_request() -> None:
    body = WIRE.request(
        request(tools=[], system="Be brief.", session_id="s", options={"seed": 1, "model": "n"})
    )
    assert body == {
        "model": "n",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
        "stream_options": {"include_usage": True},
        "seed": 1,
    }


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("auto", None),
        ("required", "required"),
        ("none", "none"),
        ("add", {"type": "function", "function": {"name": "add"}}),
    ],
)
def test_tool_choice(choice: str, sent: Any) -> None:
    assert WIRE.request(request(tool_choice=choice)).get("tool_choice") == sent
    assert "tool_choice" not in WIRE.request(request(tool_choice="required", tools=[]))


def test_the_names_that_a_server_has_for_things() -> None:
    rules = Rules(max_tokens="max_completion_tokens", cache_key="prompt_cache_key", system_role="developer")
    body = WIRE.request(request(rules=rules, options={"max_tokens": 5}, session_id="s-1", system="Be brief."))
    assert body["max_completion_tokens"] == 5 and "max_tokens" not in body
    assert body["prompt_cache_key"] == "s-1" and body["messages"][0]["role"] == "developer"
    assert WIRE.request(request(options={"max_completion_tokens": 5}))["max_tokens"] == 5
    both = WIRE.request(request(rules=rules, options={"max_tokens": 5, "max_completion_tokens": 6}))
    assert (both["max_tokens"], both["max_completion_tokens"]) == (5, 6)
    assert "stream_options" not in WIRE.request(request(rules=Rules(stream_options=False)))


@pytest.mark.parametrize(
    ("model", "tools", "effort", "sent"),
    [
        ("gpt-5.6-terra", TOOLS, "", "none"),
        ("gpt-5.6-terra", TOOLS, "none", "none"),
        ("gpt-5.6-terra", [], "high", "high"),
        ("gpt-5.6-terra", [], "", None),
        ("gpt-4o-mini", TOOLS, "", None),
        ("gpt-5-mini", TOOLS, "low", "low"),
    ],
)
def test_effort(model: str, tools: list[Tool], effort: Effort, sent: str | None) -> None:
    asked = request(model=model, tools=tools, effort=effort, rules=known.OPENAI["chat"])
    assert WIRE.request(asked).get("reasoning_effort") == sent


def test_an_effort_that_there_is_not() -> None:
    with pytest.raises(ConfigError, match="leave effort='high' out, or ask it with wire='responses'"):
        WIRE.request(request(model="gpt-5.6-terra", effort="high", rules=known.OPENAI["chat"]))
    with pytest.raises(ConfigError, match="effort='xhigh' is none that m has here: use one of none, low"):
        WIRE.request(request(effort="xhigh", rules=GEMINI))
    with pytest.raises(ConfigError, match="leave it out"):
        WIRE.request(request(effort="low"))


SCHEMA = {
    "$defs": {
        "Tree": {
            "type": "object",
            "title": "Tree",
            "properties": {
                "left": {"$ref": "#/$defs/Tree"},
                "right": {"anyOf": [{"$ref": "#/$defs/Tree"}, {"type": "null"}]},
            },
        },
        "Colour": {"enum": ["red", "blue"], "title": "Colour", "type": "string"},
    },
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "tree": {"$ref": "#/$defs/Tree", "description": "What to cut."},
        "colour": {"anyOf": [{"$ref": "#/$defs/Colour"}, {"type": "null"}], "default": None},
        "sizes": {"type": "object", "additionalProperties": {"type": "integer"}},
        "count": {"type": "integer", "minimum": 1, "default": 3, "description": "How many."},
        "either": {"anyOf": [{"type": "integer"}, {"type": "string"}], "description": "One."},
        "any": {},
        "list": {"type": "array", "items": {}},
        "level": {"enum": [1, 2]},
        "same": {"const": "x"},
        "type": {"type": "string", "format": "date"},
    },
    "required": ["tree"],
}


def test_plain_schemas_tell_the_rest_in_words() -> None:
    anything = {"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}]}
    inner = {"type": "object", "description": "Tree"}
    assert plain_schema(SCHEMA) == {
        "type": "object",
        "properties": {
            "tree": {
                "type": "object",
                "properties": {"left": inner, "right": inner},
                "description": "What to cut.",
            },
            "colour": {"type": "string", "enum": ["red", "blue"]},
            "sizes": {"type": "object", "description": '(each value: {"type": "integer"})'},
            "count": {"type": "integer", "description": "How many. (minimum: 1, default: 3)"},
            "either": {"anyOf": [{"type": "integer", "description": "One."}, {"type": "string"}]},
            "any": anything,
            "list": {"type": "array", "items": anything},
            "level": {"type": "integer", "description": "(one of: 1, 2)"},
            "same": {"type": "string", "enum": ["x"]},
            "type": {"type": "string", "description": '(format: "date")'},
        },
        "required": ["tree"],
    }
    assert plain_schema({}) == {"type": "object", "properties": {}}


# Models without tools of their own

EMBEDDED = known.EMBEDDED


def test_calls_in_words_for_a_model_that_knows_none() -> None:
    history = [
        User(text="1 + 2?"),
        Call(id="c", name="add", arguments='{"a":1}'),
        Result(call_id="c", text="3"),
    ]
    body = WIRE.request(request(history=history, rules=EMBEDDED, tool_choice="auto"))
    (message,) = body["messages"]
    assert message["role"] == "user" and message["content"].startswith('1 + 2?\n\nadd({"a":1}) returned: 3\n')
    assert "tools" not in body and "response_format" not in body


@pytest.mark.parametrize("choice", ["required", "add"])
def test_a_call_that_is_chosen_by_a_schema(choice: str) -> None:
    body = WIRE.request(request(rules=EMBEDDED, tool_choice=choice))
    schema = body["response_format"]["json_schema"]["schema"]
    assert len(schema.get("anyOf", [schema])) == (1 if choice == "add" else len(TOOLS))
    text = '{"name": "add", "arguments": {"a": 1}}'
    pieces = [chunk({"content": each}) for each in text]
    read = Read(*pieces, chunk(None, "stop"), rules=EMBEDDED, tool_choice=choice)
    assert read.calls == [("add", '{"a": 1}')] and read.made == [] and read.reply.stop_reason == "tool_use"
    cut = Read(*pieces[:-1], chunk(None, "length"), rules=EMBEDDED, tool_choice=choice)
    assert cut.calls == [] and cut.text == text[:-1] and cut.reply.stop_reason == "max_tokens"
    own = Read(*pieces, rules=EMBEDDED, tool_choice=choice, options={"response_format": {}})
    assert own.text == text


def test_a_template_without_a_system_role() -> None:
    rules = replace(EMBEDDED, system_role="user")
    history = [Text(text="Hello"), User(text="Hi"), User(text="And?")]
    messages = WIRE.request(request(history=history, rules=rules, system="Be brief."))["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    assert messages[0]["content"].startswith("Be brief.\n\n") and messages[2]["content"] == "Hi\n\nAnd?"
