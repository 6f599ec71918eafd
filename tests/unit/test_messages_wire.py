"""Anthropic's Messages as a wire: what a request is made of, and what an answer comes to."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from anthropic.types import RawContentBlockDelta, RawMessageStreamEvent, StopReason
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from anthropic.types.raw_content_block_start_event import ContentBlock

from praison_nb.backends.local.rules import EMBEDDED
from praison_nb.backends.local.wires import ModelRequest, Rules, wire
from praison_nb.backends.local.wires.messages_models import model_of
from praison_nb.backends.local.wires.messages_reader import PASSED_OVER, MessagesReader
from praison_nb.errors import ConfigError
from praison_nb.events import Event, TextDelta, Thinking
from praison_nb.history import Call, Item, Opaque, Result, Text, User
from praison_nb.session import Usage
from praison_nb.tools.tool import Tool
from servers.hosted_types import check_request
from servers.messages import block, error, reply, started
from servers.timing import grows_linearly

WIRE = wire("messages")
ANTHROPIC = Rules(ids="[A-Za-z0-9_-]{1,64}", assistant_after_tool=False)
ORIGIN = "anthropic/claude-opus-4-8"
EPHEMERAL = {"type": "ephemeral"}


def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


def asked(*history: Item, model: str = "claude-opus-4-8", **fields: Any) -> ModelRequest:
    more = {"rules": ANTHROPIC, "origin": f"anthropic/{model}", **fields}
    return ModelRequest(model=model, history=history, **more)


def body(*history: Item, **fields: Any) -> dict[str, Any]:
    """The request, which is of the SDK's own type."""
    made = WIRE.request(asked(*(history or (User(text="Hi"),)), **fields))
    check_request(MessageCreateParamsNonStreaming, json.loads(json.dumps(made)))
    return made


def conversation(*history: Item, **fields: Any) -> list[tuple[str, list[str]]]:
    """Who says what kinds of things."""
    messages = body(*history, **fields)["messages"]
    return [(each["role"], [part["type"] for part in each["content"]]) for each in messages]


def thought(signature: str = "s", **payload: Any) -> Opaque:
    made = {"type": "thinking", "thinking": "Hm.", "signature": signature}
    return Opaque(wire="messages", model=ORIGIN, payload={"block": made, **payload})


# Requests


def test_parallel_results_are_one_message_and_the_text_follows_them() -> None:
    calls = (Call(id="toolu_1", name="add", arguments='{"a": 1}'), Call(id="toolu_2", name="add"))
    results = (Result(call_id="toolu_1", text="2"), Result(call_id="toolu_2", text="bad", is_error=True))
    history = (User(text="One"), User(text="Two"), thought(), Text(text="I add."), *calls, *results)
    made = conversation(*history, User(text="And?"), tools=[Tool.of(add)])
    assert made == [
        ("user", ["text", "text"]),
        ("assistant", ["thinking", "text", "tool_use", "tool_use"]),
        ("user", ["tool_result", "tool_result", "text"]),
    ]
    (call, _) = body(*history, tools=[Tool.of(add)])["messages"][1]["content"][2:]
    assert call == {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {"a": 1}}


def test_an_assistant_after_results_where_a_server_wants_one() -> None:
    history = (User(text="Hi"), Call(id="a", name="add"), Result(call_id="a", text="1"), User(text="And?"))
    roles = [role for role, _ in conversation(*history, rules=Rules())]
    assert roles == ["user", "assistant", "user", "assistant", "user"]


def test_texts_without_a_letter_are_never_sent() -> None:
    history = (User(text=" \n"), Text(text="\n"), Text(text="Yes. \n"), Call(id="a", name="add"))
    results = (Result(call_id="a", is_error=True), User(text="Go"), Text(text="Done. "))
    texts = [part for each in body(*history, *results)["messages"] for part in each["content"]]
    assert all(part.get("text", "x").strip() for part in texts)
    assert texts[-1]["text"] == "Done."
    assert next(part for part in texts if part["type"] == "tool_result")["content"].strip()
    assert "content" not in body(*history, Result(call_id="a"))["messages"][-1]["content"][0]
    assert "system" not in body(system=" ")


def test_tools_are_declared_where_the_history_has_calls() -> None:
    made = body(User(text="Hi"), Call(id="a", name="add"), Result(call_id="a", text="1"))
    assert [tool["name"] for tool in made["tools"]] == ["add"] and made["tool_choice"] == {"type": "none"}
    assert "tools" not in body()
    tool = body(tools=[Tool.of(add)])["tools"][0]
    assert tool["input_schema"]["properties"]["a"] == {"type": "integer"}
    assert tool["description"] == "Add two numbers."


@pytest.mark.parametrize(
    "choice, made",
    [
        ("auto", None),
        ("required", {"type": "any"}),
        ("add", {"type": "tool", "name": "add"}),
        ("none", {"type": "none"}),
    ],
)
def test_the_choice_of_a_tool(choice: str, made: Any) -> None:
    assert body(tools=[Tool.of(add)], tool_choice=choice).get("tool_choice") == made
    assert "tool_choice" not in body(tool_choice=choice)


def test_thinking_goes_back_as_it_came_to_who_thought_it() -> None:
    redacted = Opaque(
        wire="messages",
        model=ORIGIN,
        payload={"block": {"type": "redacted_thinking", "data": "x"}},
    )
    history = (User(text="Hi"), thought(), redacted, Text(text="Yes."), User(text="Why?"))
    sent = body(*history)["messages"][1]["content"]
    assert sent[:2] == [thought().payload["block"], {"type": "redacted_thinking", "data": "x"}]
    assert conversation(*history, model="claude-opus-4-6")[1] == ("assistant", ["text"])


def test_thinking_that_led_to_nothing_is_left_out() -> None:
    history = (User(text="Hi"), thought(), User(text="Go on"), Text(text="Yes"), thought(), User(text="?"))
    assert conversation(*history) == [
        ("user", ["text", "text"]),
        ("assistant", ["text"]),
        ("user", ["text"]),
    ]


def test_thinking_that_is_bound_to_its_past_goes_with_it() -> None:
    first = asked(User(text="Hi"), model="claude-opus-5-5", system="Be brief.")
    reader = answer(reply("Yes.", thinking="Hm."), first)
    history = (*first.history, *reader.reply.items, User(text="Why?"))
    fields = {"model": "claude-opus-5-5", "system": "Be brief."}
    assert conversation(*history, **fields)[1] == ("assistant", ["thinking", "text"])
    for change in ({"system": "Be long."}, {"tools": [Tool.of(add)]}):
        assert conversation(*history, **{**fields, **change})[1] == ("assistant", ["text"])
    shortened = (User(text="H…"), *history[1:])
    assert conversation(*shortened, **fields)[1] == ("assistant", ["text"])
    assert "max_tokens" in WIRE.request(first) and WIRE.request(first) == WIRE.request(first)


def test_caches_are_marked_at_three_places() -> None:
    history = (User(text="Hi"), Call(id="a", name="add"), Result(call_id="a", text="1"))
    again = (Text(text="One more."), Call(id="b", name="add"), Result(call_id="b", text="2"))
    made = body(*history, *again, system="Be brief.", tools=[Tool.of(add)])
    assert made["cache_control"] == EPHEMERAL and made["system"][-1]["cache_control"] == EPHEMERAL
    marked = [m for m in made["messages"] if any("cache_control" in part for part in m["content"])]
    assert marked == [made["messages"][2]] and "cache_control" not in made["tools"][-1]
    assert body(*history, tools=[Tool.of(add)])["tools"][-1]["cache_control"] == EPHEMERAL
    hour = body(*history, *again, system="S", options={"cache_control": {**EPHEMERAL, "ttl": "1h"}})
    assert json.dumps(hour).count('"ttl": "1h"') == json.dumps(hour).count("cache_control") == 3
    assert json.dumps(body(*history, system="S", options={"cache_control": None})).count("ephemeral") == 0


EFFORTS = [
    ("claude-opus-4-8", "high", "adaptive", "high"),
    ("claude-opus-4-6", "xhigh", "adaptive", "max"),
    ("claude-opus-5-5", "low", "adaptive", "low"),
    ("claude-opus-5-5", "", "adaptive", None),
    ("claude-opus-4-8", "", None, None),
    ("claude-opus-4-8", "none", "disabled", None),
    ("claude-sonnet-5-5", "none", "between_tools", None),
    ("claude-haiku-4-5", "medium", "enabled", None),
    ("claude-haiku-4-5", "none", "disabled", None),
    ("claude-next-7", "xhigh", "adaptive", "xhigh"),
    ("qwen3", "", None, None),
]


@pytest.mark.parametrize("model, effort, kind, sent", EFFORTS)
def test_effort(model: str, effort: Any, kind: str | None, sent: str | None) -> None:
    made = body(model=model, effort=effort)
    assert made.get("thinking", {}).get("type") == kind
    assert made.get("output_config", {}).get("effort") == sent
    if kind == "enabled":
        assert 1024 <= made["thinking"]["budget_tokens"] < made["max_tokens"]


@pytest.mark.parametrize("model", ["claude-opus-5-5", "claude-fable-5", "claude-mythos-5-1-20260901"])
def test_a_model_that_always_thinks(model: str) -> None:
    with pytest.raises(ConfigError, match=f"{model} always thinks: effort must be low"):
        body(model=model, effort="none")


def test_forced_calls_and_thinking_do_not_go_together() -> None:
    tools = {"tools": [Tool.of(add)], "tool_choice": "required"}
    assert body(**tools, effort="high")["thinking"] == {"type": "disabled"}
    assert "output_config" not in body(**tools, effort="high")
    assert "thinking" not in body(**tools)
    assert body(**tools, model="claude-opus-5")["thinking"] == {"type": "disabled"}
    for model in ("claude-opus-5-5", "claude-sonnet-5-5", "claude-fable-5-1"):
        with pytest.raises(ConfigError, match='leave tool_choice at "auto"'):
            body(**tools, model=model)
    with pytest.raises(ConfigError, match="thinks"):
        body(**tools, options={"thinking": {"type": "adaptive"}})


def test_options_win() -> None:
    made = body(
        effort="low", options={"max_tokens": 7, "stop_sequences": ["END"], "output_config": {"format": None}}
    )
    assert (made["max_tokens"], made["stop_sequences"]) == (7, ["END"])
    assert made["output_config"] == {"effort": "low", "format": None}
    with pytest.raises(ConfigError, match="knows no effort 'high': take low"):
        body(effort="high", rules=Rules(effort={"low": {}}))


def test_every_model_of_the_sdk_has_a_length() -> None:
    from anthropic.types.model_param import ModelParam

    names = [name for part in get_args(ModelParam) for name in get_args(part)]
    assert len(names) > 10 and all(8192 <= model_of(name).longest <= 128_000 for name in names)
    assert model_of("claude-3-5-haiku-latest").longest == 8192


def test_arguments_that_json_has_and_python_has_not() -> None:
    made = body(User(text="Hi"), Call(id="a", name="add", arguments='{"a": 1e999, "b": "\\ud83d"}'))
    (call,) = made["messages"][1]["content"]
    json.dumps(call, allow_nan=False).encode()
    assert call["input"] == {"a": "1e999", "b": "\ufffd"}


# Answers


def feed(reader: MessagesReader, events: Any) -> list[Event]:
    return [event for each in events if isinstance(each, dict) for event in reader.read(each)]


def answer(events: Any, request: ModelRequest | None = None) -> MessagesReader:
    reader = WIRE.reader(request or asked(User(text="Hi")))
    assert isinstance(reader, MessagesReader)
    feed(reader, events)
    return reader


def test_an_answer() -> None:
    reader = WIRE.reader(asked(User(text="Hi")))
    assert isinstance(reader, MessagesReader)
    events = feed(reader, reply("Let me see.", calls=[("add", '{"a": 1}')], thinking="Hm, well."))
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == "Let me see."
    assert "".join(e.text for e in events if isinstance(e, Thinking)) == "Hm, well."
    opaque, text, call = reader.reply.items
    assert isinstance(opaque, Opaque) and isinstance(call, Call) and isinstance(text, Text)
    assert opaque.payload["block"]["thinking"] == "Hm, well." and opaque.payload["block"]["signature"]
    assert (call.name, call.arguments) == ("add", '{"a": 1}') and call.id.startswith("toolu_")
    assert (reader.reply.stop_reason, reader.reply.model) == ("tool_use", "claude-opus-4-8")
    assert reader.reply.usage == Usage(uncached_input_tokens=10, output_tokens=5)


def members(union: Any) -> list[str]:
    return [get_args(each.model_fields["type"].annotation)[0] for each in get_args(get_args(union)[0])]


BLOCKS: dict[str, dict[str, Any]] = {
    "text": {"text": "Yes"},
    "thinking": {"thinking": "Hm", "signature": "s"},
    "redacted_thinking": {"data": "x"},
    "tool_use": {"id": "toolu_1", "name": "add", "input": {"a": 1}},
    "server_tool_use": {"id": "srv_1", "name": "web_search", "input": {"query": "q"}},
    "container_upload": {"file_id": "f"},
}
DELTAS: dict[str, tuple[str, dict[str, Any]]] = {
    "text_delta": ("text", {"text": "!"}),
    "input_json_delta": ("tool_use", {"partial_json": "{}"}),
    "thinking_delta": ("thinking", {"thinking": "!"}),
    "signature_delta": ("thinking", {"signature": "t"}),
    "citations_delta": ("text", {"citation": {"type": "char_location", "cited_text": "Yes"}}),
}


@pytest.mark.parametrize("kind", members(ContentBlock))
def test_every_block_is_read(kind: str) -> None:
    values = BLOCKS.get(kind, {"tool_use_id": "srv_1", "content": [{"type": "anything"}]})
    assert kind in BLOCKS or kind.endswith("_tool_result")
    start = {"type": kind, **values}
    (item,) = answer([started(), *block(0, start)]).reply.items
    match kind:
        case "text":
            assert item == Text(text="Yes", id=item.id)  # type: ignore[union-attr]
        case "tool_use":
            assert item == Call(id="toolu_1", name="add", arguments='{"a": 1}')
        case _:
            assert isinstance(item, Opaque) and item.payload["block"] == start


@pytest.mark.parametrize("kind", members(RawContentBlockDelta))
def test_every_delta_is_read_or_passed_over(kind: str) -> None:
    of, values = DELTAS[kind]
    before, after = (
        answer([started(), *block(0, {"type": of, **BLOCKS[of]}, *deltas)]).reply
        for deltas in ([], [{"type": kind, **values}])
    )
    shown = [
        [each if not isinstance(each, Text) else each.text for each in part.items] for part in (before, after)
    ]
    assert (shown[0] == shown[1]) == (kind in PASSED_OVER)


def test_every_event_is_read() -> None:
    events = reply("Yes", thinking="Hm")
    kinds = {each["type"] for each in events if isinstance(each, dict)}
    assert kinds - PASSED_OVER == set(members(RawMessageStreamEvent))
    whole = answer(events).reply
    for kind in kinds:
        reader = answer([each for each in events if isinstance(each, dict) and each["type"] != kind])
        list(reader.end())
        # Without its beginning, or its signature, thinking is lost.
        assert reader.reply.text == ("" if kind == "content_block_delta" else "Yes")
        assert reader.reply.stop_reason == "end_turn"
        if kind in ("ping", "message_stop", "content_block_stop"):
            assert [type(item) for item in reader.reply.items] == [type(item) for item in whole.items]


@pytest.mark.parametrize("reason", get_args(StopReason))
def test_every_reason_to_stop(reason: str) -> None:
    mine = {"stop_sequence": "end_turn", "model_context_window_exceeded": "max_tokens"}
    got = answer(reply("Yes", stop=reason, stop_sequence="END")).reply
    assert got.stop_reason == mine.get(reason, reason)
    assert bool(got.detail) == (reason not in ("end_turn", "tool_use"))
    assert reason != "stop_sequence" or "END" in got.detail


def test_why_it_refused() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "It could do harm."}
    assert answer(reply("I", stop="refusal", stop_details=details)).reply.detail.endswith("It could do harm.")


def test_half_a_call_is_none() -> None:
    calls = [("add", '{"a": 1}'), ("add", '{"a": ')]
    assert [c.name for c in answer(reply("", calls=calls, stop="max_tokens")).reply.calls] == ["add"]
    assert len(answer(reply("", calls=calls, stop="tool_use")).reply.calls) == 2


def test_an_error_in_mid_stream() -> None:
    event = json.loads(error().split(b"data: ")[1])
    reader = answer([*reply("Hello")[:4], event])
    assert reader.reply.error == {"type": "overloaded_error", "message": "Overloaded"}
    assert reader.reply.text and reader.reply.usage is not None and reader.reply.usage.estimated


@pytest.mark.parametrize("content", ["Yes.", [{"type": "text", "text": "Yes."}], [{"text": ["Yes", "."]}]])
def test_a_whole_message_in_place_of_a_stream(content: Any) -> None:
    message = {"type": "message", "role": "assistant", "model": "m", "content": content}
    usage = {"input_tokens": 3, "output_tokens": 2}
    got = answer([{**message, "stop_reason": "end_turn", "usage": usage}]).reply
    assert (got.text, got.stop_reason) == ("Yes.", "end_turn")
    assert got.usage == Usage(uncached_input_tokens=3, output_tokens=2)


def test_tolerance_by_kind() -> None:
    """Without types, without indexes, with everything at once, with arguments that are an object."""
    untyped = [
        {key: value for key, value in each.items() if key not in ("type", "index")}
        for each in reply("Yes", calls=[("add", '{"a": 1}')])
        if isinstance(each, dict)
    ]
    reader = answer(untyped)
    list(reader.end())
    assert reader.reply.text == "Yes" and reader.reply.calls[0].call.arguments == '{"a": 1}'
    start = {"type": "tool_use", "id": "a", "name": "add"}
    parts = [*block(0, start, {"partial_json": {"a": 1}}), *block(0, {**start, "input": {"a": 2}})]
    assert [c.call.arguments for c in answer(parts).reply.calls] == ['{"a": 1}', '{"a": 2}']
    assert answer([{"delta": {"text": "Yes"}}]).reply.text == "Yes"


def test_columns_of_usage() -> None:
    counts = {
        "input_tokens": 5,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 30,
        "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
        "output_tokens": 1,
        "service_tier": "priority",
    }
    details = {"output_tokens": 40, "output_tokens_details": {"thinking_tokens": 25}}
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": details}
    reader = answer([started(**counts), *block(0, {"type": "text", "text": "Yes"}), end])  # type: ignore[arg-type]
    assert reader.reply.usage == Usage(
        uncached_input_tokens=5,
        cache_read_input_tokens=100,
        cache_write_5m_input_tokens=10,
        cache_write_1h_input_tokens=20,
        output_tokens=40,
        reasoning_output_tokens=25,
    )
    assert reader.reply.service_tier == "priority"


@pytest.mark.parametrize("usage", [None, "none", [1], {"input_tokens": "many"}, {"input_tokens": -1}, {}])
def test_usage_that_is_none_costs_only_the_count(usage: Any) -> None:
    events = [{**each, "usage": usage} if isinstance(each, dict) else each for each in reply("Yes")]
    events[0] = {"type": "message_start", "message": {"content": [], "usage": usage}}
    got = answer(events).reply
    assert (got.text, got.usage) == ("Yes", None)


def test_cut_at_every_event_the_usage_is_right_or_marked() -> None:
    events = reply("A long answer, in pieces.", calls=[("add", '{"a": 1}')], usage=(1000, 40, 500))
    right = Usage(uncached_input_tokens=1000, cache_read_input_tokens=500, output_tokens=40)
    before = -1
    for count in range(1, len(events) + 1):
        usage = answer(events[:count]).reply.usage
        assert usage is not None and usage.input_tokens == right.input_tokens
        assert usage.estimated or usage == right
        assert not usage.estimated or usage.output_tokens >= before
        before = usage.output_tokens
    assert usage == right


def test_many_pieces_of_arguments_cost_linear_time() -> None:
    def read(text: str) -> None:
        reader = answer([started(), *block(0, {"type": "tool_use", "id": "a", "name": "b"})[:1]])
        for character in text:
            piece = {"type": "content_block_delta", "index": 0, "delta": {"partial_json": character}}
            list(reader.read(piece))
        assert reader.reply.calls[0].call.arguments == text

    assert grows_linearly(read, lambda size: "1" * size, 1_000, 10)


def test_calls_in_words_where_a_model_has_no_tools() -> None:
    call = Call(id="c", name="add", arguments='{"a": 1}')
    made = body(User(text="Add."), call, Result(call_id="c", text="2"), rules=EMBEDDED)
    assert "tools" not in made and "tool_use" not in str(made["messages"])
    assert 'add({"a": 1}) returned: 2' in str(made["messages"])
