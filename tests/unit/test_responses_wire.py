"""The Responses wire: what it asks, and that its reader loses nothing whatever a server sends."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from typing import Any, get_args

import pytest
from openai.types.responses import ResponseStreamEvent

from praison_nb.backends.local.providers import PROVIDERS
from praison_nb.backends.local.wires.base import ModelRequest, Rules
from praison_nb.backends.local.wires.reply import Reply
from praison_nb.backends.local.wires.responses import WIRE
from praison_nb.backends.local.wires.responses_reader import PASSED_OVER, ResponsesReader
from praison_nb.errors import ConfigError
from praison_nb.events import Event, TextDelta, TextFinal, Thinking
from praison_nb.history import Call, Item, Opaque, Result, Text, User
from praison_nb.session import Usage
from praison_nb.text import replace_surrogates
from praison_nb.tools.tool import Tool
from servers.responses import call, message, reasoning, response, steps, usage
from servers.responses_rules import Written, forms, pairs, refusal_of

MODEL = "gpt-5.6-terra"
ORIGIN = f"openai/{MODEL}"
OPENAI = PROVIDERS["openai"].wires["responses"]
Events = list[dict[str, Any]]


def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


def asked(history: Iterable[Item] = (User(text="Hi"),), **more: Any) -> ModelRequest:
    return ModelRequest(
        **{"model": MODEL, "origin": ORIGIN, "rules": OPENAI, "history": list(history), **more}
    )


def body(*history: Item, **more: Any) -> dict[str, Any]:
    return WIRE.request(asked(history or (User(text="Hi"),), **more))


def read(events: Iterable[Any], rules: Rules = OPENAI, limit: int | None = None) -> tuple[Reply, list[Event]]:
    """The reply and its events, the stream ended in peace."""
    reader = ResponsesReader(ORIGIN, rules, limit=limit)
    told = [event for each in events for event in reader.read(each)]
    return reader.reply, [*told, *reader.end()]


def messages(events: Iterable[Event]) -> dict[str, str]:
    """The messages as a Turn shows them."""
    made: dict[str, str] = {}
    for event in events:
        if isinstance(event, TextDelta):
            made[event.message_id] = made.get(event.message_id, "") + event.text
        elif isinstance(event, TextFinal):
            made[event.message_id] = event.text
    return made


def shown(events: Iterable[Event]) -> str:
    """All text."""
    return "".join(messages(events).values())


# What it reads

WHOLE: dict[str, Events] = {
    "text": [message("Hello there, all of you.")],
    "refusal": [message("I cannot help with that.", refusal=True)],
    "calls": [call("add", '{"a": 1, "b": 2}'), call("add", '{"a": 3, "b": 4}')],
    "same call twice": [call("add", "{}"), call("add", "{}")],
    "thinking": [reasoning("one", ["First.", "Then."]), message("So it is three.")],
    "thinking and a call": [reasoning("one"), call("add", '{"a": 1}')],
    "thinking twice": [reasoning("one"), call("add", '{"a": 1}'), reasoning("two"), call("add", '{"a": 2}')],
    "two messages": [message("First I add.", phase="commentary"), message("Three.", phase="final_answer")],
    "the same text twice": [message("Yes."), message("Yes.")],
    "all": [reasoning("one", ["Hm."]), message("I add: "), call("add", '{"a": 1}'), call("look", "{}")],
    "a tool of theirs": [
        reasoning("one"),
        {
            "type": "web_search_call",
            "id": "ws_1",
            "status": "completed",
            "action": {"type": "search", "query": "a"},
        },
        message("Found."),
    ],
    "characters": [message("😀 é 日本語 \u202e ends"), call("say", '{"text": "😀"}')],
}


def _without(*names: str) -> Callable[[Events], Events]:
    def made(events: Events) -> Events:
        return [{name: value for name, value in event.items() if name not in names} for event in events]

    return made


def _only(*ends: str) -> Callable[[Events], Events]:
    return lambda events: [event for event in events if event["type"].endswith(ends)]


def _but(*ends: str) -> Callable[[Events], Events]:
    return lambda events: [event for event in events if not event["type"].endswith(ends)]


def _all_zero(events: Events) -> Events:
    """Every item at place 0, as some servers number them."""
    return [{**event, "output_index": 0} if "output_index" in event else event for event in events]


def _new_ids(events: Events) -> Events:
    """An id for each event, as some gateways make them."""
    made = []
    for number, event in enumerate(copy.deepcopy(events)):
        if "item_id" in event:
            event["item_id"] = f"x_{number}"
        for item in [event.get("item"), *event.get("response", {}).get("output", [])]:
            if item:
                item["id"] = f"x_{number}_{item['type']}"
        made.append(event)
    return made


def _one_id(events: Events) -> Events:
    """One id for all items of a kind."""
    made = []
    for event in copy.deepcopy(events):
        for item in [event.get("item"), *event.get("response", {}).get("output", [])]:
            if item:
                item["id"] = "same"
        made.append({**event, "item_id": "same"} if "item_id" in event else event)
    return made


def _empty_end(events: Events) -> Events:
    last = events[-1]
    return [*events[:-1], {**last, "response": {**last["response"], "output": []}}]


def _twice(events: Events) -> Events:
    return [each for event in events for each in (event, event) if "delta" not in event["type"]] or events


FORMS: dict[str, Callable[[Events], Events]] = {
    "as it is": list,
    "only the items": _only("output_item.done", "response.completed"),
    "only the items, and no end": _only("output_item.done"),
    "only the response": _only("response.completed"),
    "one JSON body": lambda events: [events[-1]["response"]],
    "no items": _but("output_item.added", "output_item.done"),
    "no whole parts": _but("text.done", "refusal.done", "part.added", "part.done", "arguments.done"),
    "no deltas": _but(".delta"),
    "no places": _without("output_index", "content_index"),
    "no ids": _without("item_id"),
    "all at place 0": _all_zero,
    "new ids": _new_ids,
    "one id": _one_id,
    "an empty end": _empty_end,
    "no end": _but("response.completed"),
    "no types": lambda events: [
        _without("type")([event])[0] for event in _only("response.completed")(events)
    ],
    "each whole twice": lambda events: [
        e for event in events for e in [event] * (1 if "delta" in event["type"] else 2)
    ],
}


def kinds(items: Iterable[Item]) -> list[Any]:
    """What the items say, without ids that the reader made, and without the API's own fields."""
    made: list[Any] = []
    for item in items:
        match item:
            case Text():
                made.append(item.text)
            case Call():
                made.append((item.id, item.name, item.arguments))
            case Opaque() if item.payload["type"] != "own_fields":
                made.append({**item.payload, "id": ""})
    return made


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", WHOLE)
def test_whatever_form_it_comes_in(name: str, form: str) -> None:
    output = WHOLE[name]
    events: Any = FORMS[form](steps(*output, usage=usage(20, 9, 5, 4)))  # type: ignore[arg-type]
    got, told = read(events)
    wanted: list[Any] = []
    for item in output:
        match item["type"]:
            case "message":
                part = item["content"][0]
                wanted.append(part.get("text") or part["refusal"])
            case "function_call":
                wanted.append((item["call_id"], item["name"], item["arguments"]))
            case _:
                wanted.append({**item, "id": ""})
    assert kinds(got.items) == wanted
    assert shown(told) == got.text == "".join(each for each in wanted if isinstance(each, str))
    assert got.stop_reason == ("tool_use" if got.calls else "refusal" if name == "refusal" else "end_turn")
    assert got.thought == any(item["type"] == "reasoning" for item in output)
    summary = "".join(part["text"] for item in output for part in item.get("summary", ()))
    assert "".join(e.text for e in told if isinstance(e, Thinking)).replace("\n", "") == summary
    if form not in ("no end", "only the items, and no end"):
        counted = Usage(
            uncached_input_tokens=15, cache_read_input_tokens=5, output_tokens=9, reasoning_output_tokens=4
        )
        assert (got.usage, got.model) == (counted, MODEL)


@pytest.mark.parametrize("end", range(2, 40))
def test_cut_anywhere(end: int) -> None:
    events: Any = steps(reasoning("one", ["Hm."]), message("I add them now."), call("add", '{"a": 1}'))[:end]
    got, told = read(events)
    came = "".join(e["delta"] for e in events if e["type"] == "response.output_text.delta")
    assert got.text == shown(told) == came
    complete = events[-1]["type"] in ("response.completed",) or (
        events[-1]["type"] == "response.output_item.done"
    )
    assert bool(got.stop_reason) == complete
    got.drop_calls()
    assert kinds(got.items) == ([came] if came else [])


def test_every_event_of_the_sdk_is_known() -> None:
    for kind in get_args(get_args(ResponseStreamEvent)[0]):
        (name,) = get_args(kind.model_fields["type"].annotation)
        assert (name in ResponsesReader.HANDLERS) != name.startswith(PASSED_OVER), name


def test_what_is_passed_over_changes_nothing() -> None:
    events: Any = steps(message("Hello."))
    more = [{"type": f"{name}x", "delta": "no", "text": "no", "part": {"text": "no"}} for name in PASSED_OVER]
    unknown = [{"type": "response.brand_new", "item": "?"}, {"type": "keepalive"}, {}, {"type": None}]
    got, _ = read([*events[:3], *more, *unknown, *events[3:]])
    assert (got.text, got.stop_reason) == ("Hello.", "end_turn")


def test_the_whole_replaces_what_came_wrong() -> None:
    events: Any = steps(message("Hello there, you."))
    deltas = [event for event in events if event["type"].endswith("text.delta")]
    for wrong in (deltas[:1] + deltas[2:], deltas[::-1], [each for each in deltas for _ in range(2)]):
        at = events.index(deltas[0])
        got, told = read([*events[:at], *wrong, *(e for e in events[at:] if e not in deltas)])
        assert got.text == shown(told) == "Hello there, you."


def test_a_whole_that_is_no_whole_takes_nothing_away() -> None:
    events: Any = steps(message("Hello there, you."))
    for wrong in ("", None, 7, {"no": "text"}, "Hello", "Something else."):
        made = [
            {**event, "text": wrong} if event["type"].endswith("text.done") else event
            for event in _but("part.done", "item.done", "completed")(events)
        ]
        got, told = read(made)
        assert got.text == shown(told)
        assert got.text.startswith("Hello there, you.")


def test_half_characters_are_joined() -> None:
    events: Any = steps(message("ab"), size=1)
    first, second = (event for event in events if event["type"].endswith("text.delta"))
    first["delta"], second["delta"] = "\ud83d", "\ude00"
    got, told = read(_only("text.delta")(events))
    assert replace_surrogates(got.text) == replace_surrogates(shown(told)) == "😀"


def test_arguments_as_an_object() -> None:
    item = call("add", "")
    got, _ = read([{"type": "response.output_item.done", "item": {**item, "arguments": {"a": 1}}}])
    assert got.items == [Call(id=item["call_id"], name="add", arguments='{"a": 1}')]


def test_many_pieces_take_linear_time() -> None:
    text = "x" * 40_000
    events: Any = steps(message(text), call("add", text), size=1)
    got, _ = read(events)
    assert (len(got.text), len(got.calls[0].call.arguments)) == (40_000, 40_000)
    assert got.progress > 80_000


def test_pings_are_no_progress() -> None:
    reader = ResponsesReader(ORIGIN, OPENAI)
    for event in ({"type": "keepalive"}, {"type": "response.in_progress", "response": response()}, {}):
        assert list(reader.read(event)) == []
    assert reader.reply.progress == 0


# How it ends


def test_cut_off_by_the_limit() -> None:
    half = call("add", '{"a":', status="incomplete")
    details = {"reason": "max_output_tokens"}
    got, _ = read(steps(message("Long"), half, status="incomplete", incomplete_details=details))
    assert (got.stop_reason, got.text, got.calls) == ("max_tokens", "Long", [])
    assert got.detail


def test_cut_off_in_mid_call_without_a_reason() -> None:
    events: Any = steps(call("add", '{"a": 1}'), status="incomplete", incomplete_details=None)
    events[-1]["response"]["output"] = []
    got, _ = read(_but("arguments.done", "item.done")(events))
    assert (got.stop_reason, got.calls) == ("incomplete", [])


def test_ended_by_the_filter() -> None:
    details = {"reason": "content_filter"}
    got, _ = read(steps(message("No"), status="incomplete", incomplete_details=details))
    assert (got.stop_reason, got.text) == ("refusal", "No")


def test_called_complete_at_the_limit() -> None:
    assert read(steps(message("Long"), usage=usage(9, 20)), limit=20)[0].stop_reason == "max_tokens"
    assert read(steps(message("Long"), usage=usage(9, 19)), limit=20)[0].stop_reason == "end_turn"


@pytest.mark.parametrize(
    "event",
    [
        {"type": "error", "code": "rate_limit_exceeded", "message": "Slow down.", "param": None},
        {"type": "error", "error": {"code": "rate_limit_exceeded", "message": "Slow down."}},
        {"error": {"code": "rate_limit_exceeded", "message": "Slow down."}},
        {
            "type": "response.failed",
            "response": response(
                status="failed", error={"code": "rate_limit_exceeded", "message": "Slow down."}
            ),
        },
        response(status="failed", error={"code": "rate_limit_exceeded", "message": "Slow down."}),
    ],
)
def test_errors(event: dict[str, Any]) -> None:
    begun: Any = steps(message("So far"))[:6]
    got, _ = read([*begun, event])
    assert got.error == {"code": "rate_limit_exceeded", "message": "Slow down."}
    assert (got.text, got.stop_reason) == ("So far", "")


def test_a_failure_without_a_word() -> None:
    got, _ = read([{"type": "response.failed", "response": None}])
    assert "failed" in got.error["message"]


# What it counts


def test_usage() -> None:
    got, _ = read(steps(message("x"), usage=usage(2000, 30, cached=500, thought=20, written=300)))
    assert got.usage == Usage(
        uncached_input_tokens=1200,
        cache_read_input_tokens=500,
        cache_write_5m_input_tokens=300,
        output_tokens=30,
        reasoning_output_tokens=20,
    )


@pytest.mark.parametrize(
    "counted", [None, 7, "many", [], {}, {"input_tokens": "?"}, {"input_tokens": -1, "output_tokens": None}]
)
def test_a_count_that_is_none_costs_the_count_only(counted: Any) -> None:
    events: Any = steps(message("x"))
    events[-1]["response"]["usage"] = counted
    got, _ = read(events)
    assert (got.text, got.usage, got.stop_reason) == ("x", None, "end_turn")


@pytest.mark.parametrize(
    "details", [None, 3, {"cached_tokens": "all"}, {"cached_tokens": 10**9}, {"cached_tokens": float("nan")}]
)
def test_odd_details_never_make_a_column_negative(details: Any) -> None:
    counted = {"input_tokens": 10, "output_tokens": 2, "input_tokens_details": details}
    got, _ = read(steps(message("x"), usage=counted))
    assert got.usage is not None
    assert (got.usage.input_tokens, got.usage.output_tokens) == (10, 2)
    assert got.usage.uncached_input_tokens >= 0


def test_the_cost_and_the_tier_that_the_server_tells() -> None:
    counted = {**usage(10, 5), "cost": "0.0123", "details": {"ticks": 5 * 10**9}}
    got, _ = read(steps(message("x"), usage=counted, service_tier="priority"))
    assert (got.cost, got.service_tier) == (Decimal("0.0123"), "priority")
    ticks = Rules(cost_field="details.ticks", cost_unit="0.0000000001")
    assert read(steps(message("x"), usage=counted), ticks)[0].cost == Decimal("0.5")


# What it asks


def test_the_form() -> None:
    made = body(
        User(text="Add"),
        system="Be brief.",
        tools=[Tool.of(add)],
        tool_choice="add",
        effort="low",
        session_id="s" * 80,
        options={"max_tokens": 50, "service_tier": "flex"},
    )
    (tool,) = made["tools"]
    assert (tool["type"], tool["name"], tool["strict"]) == ("function", "add", False)
    assert made == {
        "model": MODEL,
        "input": [{"type": "message", "role": "user", "content": "Add"}],
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "instructions": "Be brief.",
        "tools": [tool],
        "tool_choice": {"type": "function", "name": "add"},
        "reasoning": {"effort": "low"},
        "prompt_cache_key": "s" * 64,
        "max_output_tokens": 50,
        "service_tier": "flex",
    }
    assert refusal_of(made, Written()) is None


def test_a_history_is_told_in_words_where_there_are_no_tools() -> None:
    made = body(
        ASKED,
        CALLED,
        Result(call_id="call_1", text="3"),
        rules=replace(OPENAI, native_tools=False),
        tools=[Tool.of(add)],
    )
    assert "tools" not in made
    assert [item["role"] for item in made["input"]] == ["user", "user"]
    assert "returned: 3" in made["input"][1]["content"]


def test_plain_schemas() -> None:
    (tool,) = body(tools=[Tool.of(add)], rules=replace(OPENAI, plain_schemas=True))["tools"]
    assert "default" not in tool["parameters"]["properties"]["b"]


@pytest.mark.parametrize(
    "model", ["gpt-4o-mini", "gpt-4.1", "gpt-3.5-turbo", "ft:gpt-4o:us:x", "gpt-5-chat-latest"]
)
def test_models_that_do_not_reason_are_not_asked_for_reasoning(model: str) -> None:
    assert "include" not in body(model=model)


def test_options_by_the_names_of_chat_completions() -> None:
    schema = {"name": "city", "schema": {"type": "object"}}
    made = body(
        effort="high",
        options={
            "max_completion_tokens": 99,
            "reasoning_effort": "low",
            "verbosity": "low",
            "response_format": {"type": "json_schema", "json_schema": schema},
        },
    )
    assert (made["max_output_tokens"], made["reasoning"]) == (99, {"effort": "low"})
    assert made["text"] == {"verbosity": "low", "format": {"type": "json_schema", **schema}}
    assert body(options={"max_tokens": 5, "max_output_tokens": 7})["max_output_tokens"] == 7
    assert body(options={"max_output_tokens": 7, "max_tokens": 5})["max_output_tokens"] == 7


def test_options_leave_alone_what_they_do_not_speak_of() -> None:
    made = body(
        effort="high",
        options={"reasoning": {"summary": "auto"}, "include": ["web_search_call.action.sources"]},
    )
    assert made["reasoning"] == {"effort": "high", "summary": "auto"}
    assert made["include"] == ["reasoning.encrypted_content", "web_search_call.action.sources"]
    assert body(options={"include": []})["include"] == []


@pytest.mark.parametrize("effort", ["minimal", "hihg", "LOW"])
def test_an_effort_that_there_is_not(effort: Any) -> None:
    with pytest.raises(ConfigError, match="use one of none, low, medium, high, xhigh"):
        body(effort=effort)


def test_halves_of_characters_are_not_sent() -> None:
    made = body(User(text="a\ud83d"), system="b\ude00")
    assert (made["input"][0]["content"], made["instructions"]) == ("a\ufffd", "b\ufffd")


def sent(*history: Item, **more: Any) -> list[Any]:
    """What of the history is in the request, in short."""
    short = {
        "message": "role",
        "function_call": "call_id",
        "function_call_output": "call_id",
        "reasoning": "id",
    }
    return [f"{each['type']} {each[short[each['type']]]}" for each in body(*history, **more)["input"]]


def opaque(payload: dict[str, Any], model: str = ORIGIN) -> Opaque:
    return Opaque(wire="responses", model=model, payload=payload)


THOUGHT = opaque({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "sealed"})
CALLED = Call(id="call_1", name="add")
ASKED, AGAIN = User(text="Add"), User(text="And?")
PAIR = ["function_call call_1", "function_call_output call_1"]


@pytest.mark.parametrize(
    ("history", "wanted"),
    [
        ([ASKED, THOUGHT, CALLED, Result(call_id="call_1")], ["message user", "reasoning rs_1", *PAIR]),
        # A stop in the tool.
        ([ASKED, THOUGHT, CALLED, AGAIN], ["message user", "reasoning rs_1", *PAIR, "message user"]),
        # What it led to never came.
        ([ASKED, THOUGHT, AGAIN], ["message user", "message user"]),
        ([ASKED, THOUGHT], ["message user"]),
        # Something else than what it led to.
        (
            [ASKED, THOUGHT, opaque({"type": "own_fields", "of": "message", "id": "msg_1"}), CALLED],
            ["message user", *PAIR],
        ),
        # Another model's, and one that nobody can read.
        ([ASKED, opaque(dict(THOUGHT.payload), "openai/o3"), CALLED], ["message user", *PAIR]),
        ([ASKED, opaque({"type": "reasoning", "id": "rs_2"}), CALLED], ["message user", *PAIR]),
    ],
)
def test_reasoning_goes_back_with_what_it_led_to(history: list[Item], wanted: list[str]) -> None:
    assert sent(*history) == wanted


def test_reasoning_goes_back_as_it_came() -> None:
    thought, said = reasoning("one", ["Hm."]), message("Done.", phase="final_answer")
    got, _ = read(steps(thought, said))
    made = body(ASKED, *got.items, AGAIN)["input"]
    assert made[1] == thought
    assert made[2] == {**said, "content": [{"type": "output_text", "text": "Done.", "annotations": []}]}


def test_a_server_that_stores_is_sent_the_id_alone() -> None:
    thought = opaque({"type": "reasoning", "id": "rs_2", "summary": []})
    made = body(ASKED, thought, CALLED, options={"store": True})
    assert made["store"] is True
    assert "include" not in made
    assert made["input"][1]["id"] == "rs_2"


# That the stand-in refuses what must not be sent


def refused(change: Callable[[dict[str, Any]], Any]) -> str:
    """What the server says to a good request that was changed."""
    written, output = Written(), [reasoning("sealed"), call("add", '{"a": 1}')]
    events: Any = steps(*output)
    written.note(events)
    got, _ = read(events)
    made = body(ASKED, *got.items, Result(call_id=output[1]["call_id"], text="2"), tools=[Tool.of(add)])
    assert refusal_of(made, written) is None
    change(made)
    refusal = refusal_of(made, written)
    return refusal[0] if refusal else ""


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda b: b["input"].pop(1), "without its required 'reasoning' item"),
        (lambda b: b["input"].pop(2), "No tool call found"),
        (lambda b: b["input"].pop(3), "No tool output found"),
        (
            lambda b: b["input"].insert(2, {"role": "user", "content": "?"}),
            "without its required following item",
        ),
        (lambda b: b["input"][2].pop("id"), "without its required following item"),
        (lambda b: b["input"][1].update(encrypted_content="other"), "could not be verified"),
        (lambda b: b["input"][1].pop("encrypted_content"), "not persisted"),
        (lambda b: b["input"].append(b["input"][1]), "Duplicate item"),
        (lambda b: b["input"].append({"type": "tool", "content": "2"}), "Invalid value: 'tool'"),
        (lambda b: b.update(reasoning={"effort": "minimal"}), "'minimal' is not supported"),
        (lambda b: b.update(messages=[]), "Unknown parameter: 'messages'"),
        (lambda b: b["tools"][0].pop("strict"), "Invalid schema for function 'add'"),
        (lambda b: b["tools"][0].pop("name"), "Missing required parameter: 'tools[0].name'"),
        (lambda b: b.update(model="gpt-4o"), "Encrypted content is not supported with this model"),
    ],
)
def test_the_stand_in_refuses(change: Callable[[dict[str, Any]], Any], told: str) -> None:
    assert told in refused(change)


# Streams that are broken at random


SOURCES = [
    steps(*output, usage=usage(20, 9, 5, 4))
    for output in WHOLE.values()  # type: ignore[arg-type]
]
ODD: list[Any] = [
    None,
    True,
    -1,
    7,
    10**30,
    1.5,
    float("nan"),
    "",
    "x",
    "\ud83d",
    [],
    {},
    [[]],
    [{}],
    {"text": 3},
]


def _values(value: Any, into: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Every place in the JSON, as the container and the key."""
    for key in (
        list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    ):
        into.append((value, key))
        _values(value[key], into)
    return into


def mutated(chance: random.Random) -> Events:
    events: Any = copy.deepcopy(chance.choice(SOURCES))
    for _ in range(chance.choice([1, 1, 2, 3, 6])):
        at = chance.randrange(len(events))
        match chance.randrange(6):
            case 0:
                del events[at]
            case 1:
                events.insert(at, copy.deepcopy(chance.choice(events)))
            case 2:
                events.insert(chance.randrange(len(events)), events.pop(at))
            case 3:
                del events[at:]
            case _:
                places = _values(events[at], [])
                if places:
                    where, key = chance.choice(places)
                    if isinstance(where, dict) and chance.random() < 0.3:
                        del where[key]
                    else:
                        where[key] = copy.deepcopy(chance.choice(ODD))
        if not events:
            break
    return events  # type: ignore[no-any-return]


def texts(events: Events) -> list[str]:
    """Text of which nobody can doubt what it is."""
    names = ("response.output_text.delta", "response.refusal.delta")
    found = [e.get("delta") for e in events if e.get("type") in names]
    found += [e.get("text") for e in events if e.get("type") == "response.output_text.done"]
    return [text for text in found if isinstance(text, str)]


def check(seed: int) -> None:
    chance = random.Random(seed)
    events = mutated(chance)
    got, told = read(events)
    # A message that came too late stands at its place in the history.
    assert messages(told) == {each.id: each.text for each in got.items if isinstance(each, Text)}, seed
    for text in texts(events):
        whole = text.replace("\ud83d", "")
        assert whole in got.text, (seed, text, got.text)
    history = [ASKED, *got.items, *(Result(call_id=each.id) for each in got.calls), AGAIN]
    items = body(*history)["input"]
    for item, behind in pairwise(items):
        # What they hold is the server's, and here it may be anything.
        if item["type"] == "reasoning":
            assert behind["type"] != "function_call_output" and behind.get("role") != "user", seed
        item.pop("phase", None)
    ours = {"input": [each for each in items if "output" in each or each["type"] in OURS]}
    assert forms(ours, Written()) is pairs(ours, Written()) is None, seed


OURS = ("message", "function_call")


def test_broken_streams() -> None:
    for seed in range(500):
        check(seed)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_many_broken_streams() -> None:
    for seed in range(500, 102_000):
        check(seed)
