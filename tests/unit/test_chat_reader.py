"""What the chat wire makes of whatever servers stream."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from praison_nb.backends.local import rules as known
from praison_nb.backends.local.wires.base import Rules
from praison_nb.backends.local.wires.chat import WIRE
from praison_nb.history import Text
from praison_nb.session import Usage
from servers.chat_chunks import GEMINI, JSON, WHOLE, XAI, Read, chunk, piece, request

# Text and thinking


@pytest.mark.parametrize(
    "events",
    [
        [chunk({"content": "Ye"}), chunk({"content": "s."}, "stop")],
        [chunk({"content": [{"type": "text", "text": "Yes"}]}), chunk({"content": "."})],
        [chunk({"content": [{"type": "text", "text": "Ye"}, {"type": "text", "text": "s."}]})],
        [chunk({"content": {"type": "output_text", "text": {"value": "Yes.", "annotations": []}}})],
        [chunk({"content": ["Ye", "s."]})],
        [chunk("Yes.")],
        [WHOLE],
        [{**WHOLE, "object": "chat.completion"}],
        [{"choices": [{"message": {"content": "Ye"}}]}, {"choices": [{"message": {"content": "s."}}]}],
        [chunk({"role": "assistant", "content": ""}), WHOLE],
        [chunk({"content": "Ye"}), chunk({"content": "s."}), WHOLE],
        [chunk({"content": "Ye"}), WHOLE],
        [{"choices": [{"text": "Ye"}]}, {"choices": [{"text": "s.", "finish_reason": "stop"}]}],
        [
            {"choices": []},
            chunk({"content": "Yes."}),
            {"choices": None},
            {"choices": "no"},
            {"choices": [7, None]},
        ],
        [{"choices": {"delta": {"content": "Yes."}}}],
        [{"message": {"role": "assistant", "content": "Yes."}, "done": True}],
        [
            None,
            "ping",
            7,
            [],
            {},
            {"type": "ping"},
            chunk({"content": "Yes."}),
            {"choices": [{"delta": None}]},
        ],
        [[chunk({"content": "Ye"}), chunk({"content": "s."})]],
        [chunk({"content": "Yes."}, logprobs=[], index="0"), chunk(None, ["stop"])],
        [{"status": "queued", "message": "Please wait."}, chunk({"content": "Yes."})],
        [{"error": None, **chunk({"content": "Yes."})}, {"error": {"code": 0, "message": ""}}],
    ],
)
def test_text_in_whatever_form(events: list[Any]) -> None:
    read = Read(*events)
    assert read.text == "Yes."
    assert read.reply.stop_reason == "end_turn" and read.reply.error is None and not read.reply.thought


def test_the_text_of_a_refusal() -> None:
    read = Read(chunk({"refusal": "Yes."}))
    assert (read.text, read.reply.stop_reason) == ("Yes.", "refusal")


@pytest.mark.parametrize(
    "delta",
    [
        {"reasoning_content": "Hm."},
        {"reasoning": "Hm."},
        {"thinking": "Hm."},
        {"reasoning": "Hm.", "reasoning_content": "Hm.", "reasoning_details": [{"text": "Hm."}]},
        {"reasoning": {"content": "Hm."}},
        {
            "reasoning_details": [
                {"type": "reasoning.text", "text": "H"},
                {"type": "reasoning.text", "text": "m."},
            ]
        },
        {
            "reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}],
            "content": "<think>Hm.</think>",
        },
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]},
        {"content": [{"type": "thinking", "thinking": "Hm.", "signature": "x"}]},
        {"content": [{"type": "reasoning", "text": "Hm."}]},
        {"content": "<think>Hm.</think>"},
    ],
)
def test_thinking_apart_from_the_answer(delta: JSON) -> None:
    read = Read(chunk(delta), chunk({"content": "Yes."}, "stop"))
    assert (read.text, read.thinking, read.reply.thought) == ("Yes.", "Hm.", True)
    alone = Read(chunk(delta), chunk(None, "stop"))
    assert (alone.text, alone.thinking, alone.reply.stop_reason) == ("", "Hm.", "end_turn")


THOUGHTS = [
    ("<think>plan</think>\n4", "plan", "4"),
    ("\n <think>\nplan\n</think>\n\n4 > 3", "\nplan\n", "4 > 3"),
    ("<think>a</think> <think>b</think>4", "ab", "4"),
    ("<think>\n\n</think>\n\n4", "", "4"),
    ("<think>a </thin b</think>4", "a </thin b", "4"),
    ("<Think>ﬀİ</THINK>4", "ﬀİ", "4"),
    ("<thinking>plan</thinking>4", "plan", "4"),
    ("<thought>plan</thought>4", "plan", "4"),
    ("[THINK]plan[/THINK]4", "plan", "4"),
    ("<think>never closed </thi", "never closed </thi", ""),
    ("<thi", "", "<thi"),
    ("<", "", "<"),
    (" \n", "", " \n"),
    (" 4", "", " 4"),
    ("<think", "", "<think"),
    ("<p>no</p>", "", "<p>no</p>"),
    ("In HTML <think>x</think> is no tag", "", "In HTML <think>x</think> is no tag"),
    ("<think>a</think>4 <think>x</think>", "a", "4 <think>x</think>"),
]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
@pytest.mark.parametrize(("text", "thinking", "answer"), THOUGHTS)
def test_think_tags_at_the_beginning_only(text: str, thinking: str, answer: str, size: int) -> None:
    read = Read(
        *[chunk({"content": text[at : at + size]}) for at in range(0, len(text), size)], chunk(None, "stop")
    )
    assert (read.text, read.thinking.strip()) == (answer, thinking.strip())


def test_several_answers_stay_apart() -> None:
    def of(index: int, text: str) -> JSON:
        return {"choices": [{"index": index, "delta": {"content": text}}]}

    read = Read(of(0, "a"), of(1, "1"), of(0, "b"), of(1, "2"))
    assert sorted(item.text for item in read.reply.items if isinstance(item, Text)) == ["12", "ab"]


# Calls


@pytest.mark.parametrize(
    ("events", "calls"),
    [
        ([piece("add", '{"a":1}', index=0, id="c")], [("add", '{"a":1}')]),
        ([piece("add", {"a": 1}, index=0, id="c")], [("add", '{"a": 1}')]),
        ([piece("add", "", id="c"), piece(None, {"a": 1}, id="c")], [("add", '{"a": 1}')]),
        ([piece("add", '{"a"'), piece(None, ":1}")], [("add", '{"a":1}')]),
        ([piece("add", '{"a"', index=0), piece(None, ":1}", index=1)], [("add", '{"a":1}')]),
        ([piece("add", '{"a"', index=0, id="c"), piece(None, ":1}", index=1, id="c")], [("add", '{"a":1}')]),
        (
            [
                piece("add", "", index=0, id="1"),
                piece(None, '{"a"', index=0, id="2"),
                piece(None, ":1}", index=0, id="3"),
            ],
            [("add", '{"a":1}')],
        ),
        (
            [piece("add", "", id="1"), piece(None, '{"a"', id="2"), piece(None, ":1}", id="3")],
            [("add", '{"a":1}')],
        ),
        (
            [piece("add", '{"a"', index=0), piece("add", ":1}", index=0), piece("add", "", index=0)],
            [("add", '{"a":1}')],
        ),
        ([piece("add", '{"a"', index=0, id="c"), piece("", ":1}", index=0, id="")], [("add", '{"a":1}')]),
        (
            [piece("get_", "", index=0), piece("weather", "", index=0), piece(None, "{}", index=0)],
            [("get_weather", "{}")],
        ),
        (
            [
                chunk({"function_call": {"name": "add", "arguments": '{"a"'}}),
                chunk({"function_call": {"arguments": ":1}"}}),
            ],
            [("add", '{"a":1}')],
        ),
        (
            [chunk({"tool_calls": {"index": 0, "function": {"name": "add", "arguments": '{"a":1}'}}})],
            [("add", '{"a":1}')],
        ),
        ([chunk({"tool_calls": [{"id": 7, "name": "add", "arguments": '{"a":1}'}]})], [("add", '{"a":1}')]),
        ([chunk({"tool_calls": [None, 7, "x", {}, {"function": None}, {"function": {"name": None}}]})], []),
        ([piece("get_weather", None, index=0, id="c")], [("get_weather", "")]),
        (
            [piece(index=0, id="c"), piece("add", index=0), piece(None, '{"a":1}', index=0)],
            [("add", '{"a":1}')],
        ),
        ([piece(None, '{"a":1}', index=0, id="c"), piece("add", index=0)], [("add", '{"a":1}')]),
        ([piece("add", json.dumps('{"a":1}'), id="c")], [("add", '{"a":1}')]),
        ([piece("add", '"{\\"a', id="c"), piece(None, '\\":1}"')], [("add", '{"a":1}')]),
        ([piece("add", '"no object"', id="c")], [("add", '"no object"')]),
        ([chunk({"tool_calls": [{"name": "add", "input": {"a": 1}}]})], [("add", '{"a": 1}')]),
        (
            [chunk({"tool_calls": [{"function": {"name": "add", "parameters": '{"a":1}'}}]})],
            [("add", '{"a":1}')],
        ),
        ([piece("add", '{"a":1}', id=10**5000), chunk({"content": 10**5000})], [("add", '{"a":1}')]),
        (
            [
                {
                    "choices": [
                        {
                            "message": {
                                "content": None,
                                "tool_calls": [
                                    {"id": "c", "function": {"name": "add", "arguments": '{"a":1}'}}
                                ],
                            }
                        }
                    ]
                }
            ],
            [("add", '{"a":1}')],
        ),
    ],
)
def test_one_call_from_whatever_pieces(events: list[Any], calls: list[tuple[str, str]]) -> None:
    read = Read(*events, chunk(None, "tool_calls"))
    assert read.calls == calls
    assert read.reply.stop_reason == ("tool_use" if calls else "end_turn")


TWO = [("add", '{"a":1}'), ("other", '{"x":"q"}')]
SAME = [("add", '{"a":1}'), ("add", '{"a":2}')]


@pytest.mark.parametrize(
    ("events", "calls"),
    [
        ([piece(name, text, index=n, id=f"c{n}") for n, (name, text) in enumerate(TWO)], TWO),
        ([piece(name, text, index=0, id=f"c{n}") for n, (name, text) in enumerate(TWO)], TWO),
        ([piece(name, text, index=0, id="") for name, text in TWO], TWO),
        ([piece(name, text, index=0, id="") for name, text in SAME], SAME),
        ([piece(name, text) for name, text in TWO], TWO),
        ([piece(name, text) for name, text in SAME], SAME),
        ([piece(name, text, index=n, id="c") for n, (name, text) in enumerate(SAME)], SAME),
        (
            [chunk({"tool_calls": [{"function": {"name": name, "arguments": text}} for name, text in SAME]})],
            SAME,
        ),
        (
            [
                each
                for name, text in SAME
                for each in (
                    piece(name, "", index=0),
                    piece(None, text[:3], index=0),
                    piece(None, text[3:], index=0),
                )
            ],
            SAME,
        ),
        (
            [
                each
                for name, text in TWO
                for each in (piece(name, "", index=0, id=""), piece(None, text, index=0, id=""))
            ],
            TWO,
        ),
        (
            [
                each
                for n, (name, text) in enumerate(SAME)
                for each in (piece(name, "", index=0, id=f"{n}"), piece(None, text, index=0))
            ],
            SAME,
        ),
        (
            [
                piece("add", '{"a"', index=0, id="1"),
                piece("other", '{"x"', index=1, id="2"),
                piece(None, ":1}", index=0),
                piece(None, ':"q"}', index=1),
            ],
            TWO,
        ),
        (
            [
                piece("add", '{"a"', id="1"),
                piece("other", '{"x"', id="2"),
                piece(None, ":1}", id="1"),
                piece(None, ':"q"}', id="2"),
            ],
            TWO,
        ),
        (
            [
                piece("add", '{"a":1}', index=0, id="1"),
                piece(index=1, id="2"),
                piece("other", '{"x":"q"}', index=1),
            ],
            TWO,
        ),
        (
            [piece("get_weather", "", index=0, id="1"), piece("get_weather", "", index=0, id="2")],
            2 * [("get_weather", "")],
        ),
        (
            [piece("get_weather", "", index=0), piece("other", "", index=0), piece(None, "{}", index=0)],
            [("get_weather", ""), ("other", "{}")],
        ),
        (
            [
                {
                    "choices": [
                        {
                            "message": {
                                "tool_calls": [
                                    {"function": {"name": n, "arguments": json.loads(a)}} for n, a in SAME
                                ]
                            }
                        }
                    ]
                }
            ],
            [("add", '{"a": 1}'), ("add", '{"a": 2}')],
        ),
    ],
)
def test_two_calls_from_whatever_pieces(events: list[Any], calls: list[tuple[str, str]]) -> None:
    assert Read(*events).calls == calls


def test_a_whole_message_behind_its_deltas_calls_nothing_again() -> None:
    message = {
        "content": "So",
        "tool_calls": [{"id": "c", "function": {"name": "add", "arguments": '{"a":1}'}}],
    }
    read = Read(
        chunk({"content": "So"}),
        piece("add", '{"a":1}', index=0, id="c"),
        {"choices": [{"message": message}]},
    )
    assert read.calls == [("add", '{"a":1}')] and read.text == "So"


def test_an_object_in_a_text_is_no_second_call() -> None:
    text = '{"code": "a = {}", "more": [{"x": "}{"}]}'
    pieces = [piece("other", each, index=0) for each in text]
    assert Read(*pieces).calls == [("other", text)]


def test_many_pieces_cost_linear_time() -> None:
    def seconds(count: int, **more: Any) -> float:
        events = [piece(more.get("name"), '"x{}', index=0, id=more.get("id")) for _ in range(count)]
        began = time.process_time()
        Read(piece("other", '{"x":', index=0, id="c"), *events, chunk(None, "tool_calls"))
        return time.process_time() - began

    for more in ({}, {"name": "other"}, {"name": "other", "id": "c"}):
        seconds(1000, **more)
        assert seconds(10_000, **more) < 30 * seconds(1000, **more) + 0.2


# Ends


@pytest.mark.parametrize(
    ("finish", "reason", "detail"),
    [
        *(
            (each, "end_turn", "")
            for each in ("stop", "eos", "end_turn", "STOP", "stop_sequence", "tool_calls")
        ),
        *((each, "max_tokens", "cut off") for each in ("length", "max_tokens", "MAX_TOKENS", "model_length")),
        *((each, "refusal", "filter") for each in ("content_filter", "SAFETY", "refusal")),
        ("insufficient_system_resource", "insufficient_system_resource", ""),
        (None, "end_turn", ""),
        (["stop"], "end_turn", ""),
        ({"type": "stop"}, "end_turn", ""),
    ],
)
def test_ends_of_all_names(finish: Any, reason: str, detail: str) -> None:
    reply = Read(chunk({"content": "x"}), chunk(None, finish)).reply
    assert reply.stop_reason == reason and detail in reply.detail and bool(detail) == bool(reply.detail)


def test_a_call_that_ends_with_stop_is_a_call() -> None:
    assert Read(piece("add", "{}"), chunk(None, "stop")).reply.stop_reason == "tool_use"


def test_a_stream_of_nothing_has_no_end() -> None:
    assert Read().reply.stop_reason == "" and Read({"type": "ping"}).reply.stop_reason == ""


def test_nothing_is_complete_before_the_stream_ends() -> None:
    reader = WIRE.reader(request())
    list(reader.read(chunk({"content": "x"})))
    assert reader.reply.stop_reason == ""
    list(reader.read(chunk(None, "stop")))
    assert reader.reply.stop_reason == "end_turn"


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"error": {"message": "Overloaded", "code": 529}}, "Overloaded"),
        ({"error": "Overloaded"}, "Overloaded"),
        ({"object": "error", "message": "Overloaded", "code": 400}, "Overloaded"),
        ({"type": "error", "message": "Overloaded"}, "Overloaded"),
        ({"detail": "Overloaded"}, "Overloaded"),
        ({"message": "Overloaded", "code": 500}, "Overloaded"),
        ([{"error": {"message": "Overloaded"}}], "Overloaded"),
        ({"x_groq": {"error": "Overloaded"}, "choices": []}, "Overloaded"),
        (
            {"choices": [{"delta": {}, "error": {"message": "Overloaded"}, "finish_reason": "error"}]},
            "Overloaded",
        ),
        (chunk(None, "error"), "error"),
    ],
)
def test_an_error_in_the_stream(event: Any, message: str) -> None:
    reply = Read(event).reply
    assert message in str(reply.error) and not reply.stop_reason


def test_an_error_behind_the_end_takes_nothing() -> None:
    read = Read(chunk({"content": "All."}), chunk(None, "stop"), {"error": {"message": "late"}})
    assert (read.text, read.reply.error, read.reply.stop_reason) == ("All.", None, "end_turn")
    assert Read(chunk({"content": "x"}, "stop", error={"message": "bad"})).reply.error == {"message": "bad"}


def test_an_error_takes_no_text() -> None:
    read = Read(chunk({"content": "So far"}), {"error": {"message": "Overloaded"}})
    assert read.text == "So far" and read.reply.error == {"message": "Overloaded"}


# Usage


def usage(rules: Rules | None = None, **reported: Any) -> Usage | None:
    return Read(chunk({"content": "x"}), {"choices": [], "usage": reported}, rules=rules).reply.usage


def test_thinking_beside_the_output() -> None:
    thought = {"completion_tokens_details": {"reasoning_tokens": 405}}
    made = Usage(uncached_input_tokens=20, output_tokens=603, reasoning_output_tokens=405)
    beside = {"prompt_tokens": 20, "completion_tokens": 198, "total_tokens": 623}
    part = {**beside, "completion_tokens": 603}
    for rules in (GEMINI, XAI):
        assert (
            usage(rules, **beside)
            == usage(rules, **beside, **thought)
            == usage(rules, **part, **thought)
            == made
        )
    # Where nothing is known of the server, its numbers may say it.
    assert usage(**beside, **thought) == usage(**part, **thought) == made
    assert usage(**beside) == made
    alone = {
        "prompt_tokens": 21,
        "completion_tokens": 0,
        "completion_tokens_details": {"reasoning_tokens": 60},
    }
    only = Usage(uncached_input_tokens=21, output_tokens=60, reasoning_output_tokens=60)
    assert usage(GEMINI, **alone, total_tokens=81) == usage(GEMINI, **alone) == usage(**alone) == only
    assert usage(GEMINI, prompt_tokens=21, total_tokens=81) == replace(only, reasoning_output_tokens=0)
    huge = usage(GEMINI, prompt_tokens=20, completion_tokens=1, total_tokens=100_021)
    assert huge == Usage(uncached_input_tokens=20, output_tokens=100_001, reasoning_output_tokens=100_000)


def test_what_the_server_did_not_count_is_estimated() -> None:
    made = usage(GEMINI, completion_tokens=4, total_tokens=9004)
    assert made is not None and made.estimated and 0 < made.input_tokens < 500
    assert made.input_tokens + made.output_tokens == 9004
    made = usage(prompt_tokens=40)
    assert made == Usage(uncached_input_tokens=40, output_tokens=1, estimated=True)
    assert usage(completion_tokens=4, total_tokens=24) == Usage(uncached_input_tokens=20, output_tokens=4)


def test_a_total_below_what_was_received_makes_no_count_negative() -> None:
    made = Read(chunk({"content": "word " * 50}), {"usage": {"total_tokens": 13}}).reply.usage
    assert made == Usage(output_tokens=13, estimated=True)


@pytest.mark.parametrize(
    "reported",
    [
        "none",
        ["x"],
        5,
        True,
        {},
        {"prompt_tokens": "many"},
        {"prompt_tokens": -1},
        {"prompt_tokens": float("nan")},
        {"prompt_tokens": float("inf")},
        {"prompt_tokens": 10**30, "completion_tokens": 10**5000},
        {"prompt_tokens": True},
        {"prompt_tokens": None},
        {"prompt_tokens": [1]},
        {"prompt_tokens": 0, "completion_tokens": 0},
        {"prompt_tokens_details": "x", "completion_tokens_details": 5, "cost": "much"},
        {"cost": 10**5000},
        {"cost": "1e999999"},
        {"cost": -1},
        {"cost": float("nan")},
        {"cost": []},
    ],
)
def test_what_is_no_count_costs_the_count_only(reported: Any) -> None:
    read = Read(chunk({"content": "Yes"}), chunk(None, "stop", usage=reported))
    assert (read.text, read.reply.usage, read.reply.cost) == ("Yes", None, None)
    good = {"prompt_tokens": 7, "completion_tokens": 2, "cost": 0.5}
    read = Read(chunk({"content": "Yes"}, usage=good), chunk(None, "stop", usage=reported))
    assert read.reply.usage == Usage(uncached_input_tokens=7, output_tokens=2)
    assert read.reply.cost == Decimal("0.5")


@pytest.mark.parametrize(
    "count",
    [
        {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}},
        {"prompt_tokens": 9.0, "completion_tokens": 2.0, "cached_tokens": 4},
        {"input_tokens": 9, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 4}},
        {
            "prompt_tokens": 9,
            "completion_tokens": 2,
            "prompt_cache_hit_tokens": 4,
            "prompt_cache_miss_tokens": 5,
        },
        {
            "prompt_tokens": 9,
            "completion_tokens": 2,
            "cache_read_input_tokens": 4,
            "prompt_tokens_details": None,
        },
    ],
)
def test_counts_by_all_names_and_in_all_places(count: JSON) -> None:
    made = Usage(uncached_input_tokens=5, cache_read_input_tokens=4, output_tokens=2)
    for event in (
        {"choices": [], "usage": count},
        {"choices": [], "x_groq": {"id": "r", "usage": count}, "usage": None},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": count}]},
        {**WHOLE, "usage": count},
    ):
        assert Read(chunk({"content": "x"}), event).reply.usage == made
    less = {name: 1 for name in count}
    assert Read(chunk({"content": "x"}, usage=less), chunk({"content": "y"}, usage=count)).reply.usage == made


def test_cache_writes_and_more_from_the_cache_than_there_was() -> None:
    written = {"prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3}}
    assert usage(prompt_tokens=9, completion_tokens=2, **written) == Usage(
        uncached_input_tokens=2, cache_read_input_tokens=4, cache_write_5m_input_tokens=3, output_tokens=2
    )
    # As Anthropic counts, beside what was cached, and what no request can have.
    assert usage(prompt_tokens=9, completion_tokens=2, cached_tokens=50) == Usage(
        uncached_input_tokens=9, cache_read_input_tokens=50, output_tokens=2, estimated=True
    )
    assert usage(prompt_tokens=9, completion_tokens=2, cached_tokens=10**9) == Usage(
        cache_read_input_tokens=9, output_tokens=2
    )


@pytest.mark.parametrize(
    ("rules", "reported", "cost"),
    [
        (Rules(), {"cost": 0.25}, "0.25"),
        (Rules(), {"cost": "0.25"}, "0.25"),
        (Rules(), {"cost": 0}, "0"),
        (Rules(), {"cost": {"input_tokens_cost": 0.1, "total_cost": 0.25}}, "0.25"),
        (known.PERPLEXITY["chat"], {"cost": {"total_cost": 0.25}}, "0.25"),
        (XAI, {"cost_in_usd_ticks": 2_500_000_000}, "0.25"),
        (Rules(), {"cost": 0.05, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.2}}, "0.25"),
        (Rules(), {"cost": 0.05, "is_byok": True, "cost_details": None}, None),
        (Rules(), {"cost": 10**9}, None),
    ],
)
def test_the_providers_own_cost(rules: Rules, reported: JSON, cost: str | None) -> None:
    read = Read(
        {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2, **reported}}, rules=rules
    )
    assert read.reply.cost == (None if cost is None else Decimal(cost))


def test_who_answered() -> None:
    reply = Read(chunk(model="m-1"), chunk(model=None, service_tier="flex"), chunk(model=7)).reply
    assert (reply.model, reply.service_tier) == ("m-1", "flex")
