"""Anthropic's Messages against a server that refuses what the real one refuses and counts as it counts."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import anthropic
import pytest

from praison_nb.backends.embedded.process import Endpoint, start
from praison_nb.history import Call, Opaque, Result, Text, User
from praison_nb.metering.prices import price
from praison_nb.session import Usage
from praison_nb.tools.tool import Tool
from servers.messages import MODEL, MessagesServer, reply
from servers.messages_rules import MODELS
from servers.wire_client import Refused, Talk


def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


def look(where: str = "") -> str:
    """Look somewhere."""
    return where


TOOLS = [Tool.of(add), Tool.of(look)]


@pytest.fixture
def server() -> Iterator[MessagesServer]:
    with MessagesServer(counts=True) as server:
        yield server


def talk(server: MessagesServer, model: str = MODEL, **fields: Any) -> Talk:
    return Talk("messages", server.base_url, model, **{"tools": TOOLS, "system": "Be brief.", **fields})


# The server


def test_the_sdk_reads_the_same(server: MessagesServer) -> None:
    asked: Any = {"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]}
    server.script(*[reply("Yes, I do.", calls=[("add", '{"a": 1}')], thinking="Hm.", redacted=True)] * 2)
    with anthropic.Anthropic(base_url=server.url, api_key="test-key", max_retries=0) as client:
        with client.messages.stream(**asked) as stream:
            streamed = stream.get_final_message()
        whole = client.messages.create(**asked)
    assert [each.type for each in streamed.content] == ["thinking", "redacted_thinking", "text", "tool_use"]
    assert [each.model_dump(exclude={"parsed_output"}) for each in streamed.content] == [
        each.model_dump() for each in whole.content
    ]
    assert streamed.stop_reason == whole.stop_reason == "tool_use"
    assert streamed.usage.output_tokens == whole.usage.output_tokens == server.usages[0]["output_tokens"]
    mine = talk(server)
    server.script(reply("Yes, I do.", calls=[("add", '{"a": 1}')]))
    got = mine.ask("Hi")
    assert got.text == "Yes, I do." and got.calls[0].call.arguments == '{"a": 1}'
    assert got.usage is not None and got.usage.output_tokens == server.usages[2]["output_tokens"]


USE = {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "2"}
HI = {"role": "user", "content": "Hi"}
YES = {"type": "text", "text": "Yes"}
DECLARED = [{"name": "add", "input_schema": {"type": "object"}}]
FALSE = {"type": "thinking", "thinking": "I never thought this.", "signature": "forged"}


def turns(*contents: Any) -> dict[str, Any]:
    """The user and the assistant in turns, after a first prompt."""
    roles = ["assistant", "user"] * len(contents)
    made = [{"role": role, "content": content} for role, content in zip(roles, contents, strict=False)]
    return {"messages": [HI, *made], "tools": DECLARED}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no limit": ({"max_tokens": None}, "max_tokens"),
    "too long": ({"max_tokens": 10**6}, "maximum allowed number of output tokens"),
    "nothing asked": ({"messages": []}, "at least one message"),
    "begins with the assistant": ({"messages": [{"role": "assistant", "content": "Yes"}]}, "first message"),
    "empty text": ({"messages": [{"role": "user", "content": " "}]}, "non-whitespace"),
    "no content": ({"messages": [{"role": "user", "content": []}]}, "non-empty content"),
    "ends with the assistant": (turns([YES]), "prefill"),
    "white space at the end": (turns([{"type": "text", "text": "Yes "}]), "trailing whitespace"),
    "no result": (turns([USE], "And?"), "without `tool_result` blocks immediately after"),
    "no result at the end": (turns([USE]), "prefill"),
    "text before the result": (turns([USE], [YES, RESULT]), "immediately after"),
    "a result of nothing": (turns([YES], [RESULT]), "unexpected `tool_use_id`"),
    "two results": (turns([USE], [RESULT, RESULT]), "multiple `tool_result`"),
    "an id twice": (turns([USE], [RESULT], [USE], [RESULT]), "ids must be unique"),
    "an id of another form": (turns([{**USE, "id": "a b"}], [RESULT]), "match pattern"),
    "an empty error": (turns([USE], [{**RESULT, "content": "", "is_error": True}]), "is_error"),
    "undeclared": ({**turns([USE], [RESULT]), "tools": []}, "must define tools"),
    "a result of the assistant's": (turns([USE, RESULT], "And?"), "not allowed in assistant"),
    "a forged signature": (turns([FALSE, YES], "And?"), "Invalid `signature`"),
    "ends in thought": (turns([YES, FALSE], "And?"), "cannot be `thinking`"),
    "forced and thinking": (
        {"tools": DECLARED, "tool_choice": {"type": "any"}, "thinking": {"type": "adaptive"}},
        "when tool_choice forces",
    ),
    "forced where it cannot be": (
        {"model": "claude-opus-5-5", "tools": DECLARED, "tool_choice": {"type": "any"}},
        "not compatible with this model",
    ),
    "an unknown tool": ({"tools": DECLARED, "tool_choice": {"type": "tool", "name": "x"}}, "not found"),
    "not to be turned off": ({"model": "claude-opus-5-5", "thinking": {"type": "disabled"}}, "not supported"),
    "a small budget": (
        {"model": "claude-haiku-4-5", "thinking": {"type": "enabled", "budget_tokens": 5000}},
        "budget_tokens",
    ),
    "unthought": (
        {
            **turns([USE], [RESULT]),
            "model": "claude-haiku-4-5",
            "max_tokens": 9999,
            "thinking": {"type": "enabled", "budget_tokens": 2000},
        },
        "must start with a thinking block",
    ),
    "five marks": (
        {
            "cache_control": {"type": "ephemeral"},
            "messages": [{"role": "user", "content": [{**YES, "cache_control": {"type": "ephemeral"}}] * 4}],
        },
        "maximum of 4 blocks",
    ),
    "a field of another API": ({"stream_options": {}}, "stream_options"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_server_refuses(server: MessagesServer, case: str) -> None:
    changes, words = REFUSED[case]
    body = {"model": MODEL, "max_tokens": 100, "messages": [HI], **changes}
    with (
        anthropic.Anthropic(base_url=server.url, api_key="test-key", max_retries=0) as client,
        pytest.raises(anthropic.BadRequestError) as caught,
    ):
        client.post("/v1/messages", body=body, cast_to=object)
    assert words in str(caught.value) and server.refused


def test_thinking_that_changed_is_refused(server: MessagesServer) -> None:
    mine = talk(server, "claude-opus-5-5")
    server.script(reply("", calls=[("add", '{"a": 1}')], thinking="Hm."))
    mine.ask("Hi")
    mine.run_tools()
    kept = list(mine.history)
    (at,) = [n for n, item in enumerate(kept) if isinstance(item, Opaque)]
    item = kept[at]
    assert isinstance(item, Opaque)
    changed = {**item.payload, "block": {**item.payload["block"], "thinking": "Hm!"}}
    for history, words in (
        (
            [*kept[:at], Opaque(wire="messages", model=item.model, payload=changed), *kept[at + 1 :]],
            "Invalid",
        ),
        ([*kept[:at], *kept[at + 1 :]], "cannot be modified"),
    ):
        mine.history = list(history)
        with pytest.raises(Refused, match=words):
            mine.ask()


# Conversations


def three_rounds(server: MessagesServer, mine: Talk) -> None:
    calls = [[("add", '{"a": 1}'), ("look", "{}"), ("add", '{"a": 2}')], [("look", "{}")], [("gone", "[1]")]]
    thinks = MODELS[mine.fields["model"]].thinks or mine.fields.get("effort")
    thinking = "Hm." if thinks else None
    for n, each in enumerate(calls):
        server.script(
            reply("I look." if n else "", calls=each, thinking=thinking, redacted=n == 1 and bool(thinks))
        )
        mine.ask("Hi" if n == 0 else None)
        mine.run_tools()
        mine.restart()
    server.script(reply("Done.", thinking=thinking))
    assert mine.ask().text == "Done."


@pytest.mark.parametrize("effort", ["", "high"])
@pytest.mark.parametrize("model", MODELS)
def test_conversations(server: MessagesServer, model: str, effort: str) -> None:
    """Rounds of tools, a stop in a tool, max_turns, restarts, another provider and back."""
    mine = talk(server, model, effort=effort)
    server.strict_turns = True
    three_rounds(server, mine)
    # Stopped in a tool: the calls have no results.
    server.script(reply("Now", calls=[("add", "{}"), ("look", "{}")]))
    mine.ask("Go on")
    mine.restart()
    assert mine.ask("Another prompt").text == "Another prompt"
    # max_turns: the results are there, and the user's next prompt follows.
    server.script(reply("", calls=[("add", "{}")], thinking="Hm." if effort else None))
    mine.ask("And?")
    mine.run_tools()
    assert mine.ask("Still there?").text == "Still there?"
    # Another provider with ids of its own, the same in each turn, and thinking of its own.
    theirs = Opaque(wire="chat", model="deepseek/r", payload={"reasoning_content": "Hm."})
    for _ in range(2):
        mine.history += [
            User(text="Hi"),
            theirs,
            Call(id="call 1", name="add"),
            Result(call_id="call 1", text="2"),
        ]
    mine.history.append(Text(text="Two."))
    mine.restart()
    three_rounds(server, mine)
    # Another model of the same provider.
    other = next(name for name in MODELS if name != model)
    mine.fields |= {"model": other, "origin": f"provider/{other}"}
    three_rounds(server, mine)
    mine.fields |= {"model": model, "origin": f"provider/{model}", "system": "Be very brief.", "tools": []}
    assert mine.ask("Bye").text == "Bye"
    assert not server.refused


def test_thinking_goes_back_unchanged(server: MessagesServer) -> None:
    mine = talk(server, "claude-opus-5-5")
    three_rounds(server, mine)
    sent = json.dumps(server.bodies[-1])
    written = [block for block, *_ in server.issued.thoughts.values()][:-1]
    assert len(written) == 4 and all(json.dumps(block) in sent for block in written)


def test_a_pause_goes_on_with_what_came(server: MessagesServer) -> None:
    search = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}}
    found = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
    server.script(reply("", blocks=[search, found], thinking="Hm.", stop="pause_turn"), reply("It is so."))
    mine = talk(server, "claude-opus-5-5")
    assert mine.ask("Search.").stop_reason == "pause_turn"
    assert mine.ask().text == "It is so."
    assert mine.ask("And?").text == "And?"
    kinds = [each["type"] for each in server.bodies[-1]["messages"][1]["content"]]
    assert kinds == ["thinking", "server_tool_use", "web_search_tool_result", "text"]


# What it costs


LONG = "Rules of the house. " * 4000


def cost(usage: Usage | None) -> Decimal:
    made, source = price(usage or Usage(), MODEL, "anthropic", 1_795_000_000.0)
    assert made is not None and source == "table"
    return made


def uncached(usage: Usage) -> Usage:
    return Usage(uncached_input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)


def ten_requests(
    server: MessagesServer, mine: Talk, calls: int = 1, **first: Any
) -> tuple[Usage, list[Usage]]:
    """What a turn of ten requests used, each with so many calls."""
    used: list[Usage] = []
    for n in range(10):
        server.script(reply("", calls=[("add", '{"a": 1}')] * calls) if n < 9 else reply("Done."))
        got = mine.ask("Hi" if n == 0 else None, **(first if n == 0 else {}))
        assert got.usage is not None and not got.usage.estimated
        used.append(got.usage)
        mine.run_tools()
    return sum(used, Usage()), used


def test_a_long_beginning_is_paid_once(server: MessagesServer) -> None:
    total, used = ten_requests(server, talk(server, system=LONG))
    assert used[0].cache_creation_input_tokens > 20_000 and not used[0].cache_read_input_tokens
    assert all(each.cache_read_input_tokens > 20_000 for each in used[1:])
    assert cost(total) <= Decimal("0.25") * cost(uncached(total))
    for mine, theirs in zip(used, server.usages, strict=True):
        assert (mine.uncached_input_tokens, mine.output_tokens) == (
            theirs["input_tokens"],
            theirs["output_tokens"],
        )
        assert mine.cache_read_input_tokens == theirs["cache_read_input_tokens"]
        assert mine.cache_write_5m_input_tokens == theirs["cache_creation_input_tokens"]


def test_many_parallel_calls_do_not_lose_the_cache(server: MessagesServer) -> None:
    """More blocks between two requests than the server looks back over."""
    _, used = ten_requests(server, talk(server, system=LONG), calls=25)
    for before, after in itertools.pairwise(used):
        assert after.cache_read_input_tokens >= before.input_tokens - before.uncached_input_tokens


def test_a_first_call_that_is_forced_keeps_the_beginning(server: MessagesServer) -> None:
    _, used = ten_requests(server, talk(server, system=LONG), tool_choice="required")
    assert used[1].cache_read_input_tokens > 20_000


def test_another_conversation_has_the_same_beginning(server: MessagesServer) -> None:
    for prompt in ("One", "Two"):
        usage = talk(server, system=LONG).ask(prompt).usage
        assert usage is not None
    assert usage.cache_read_input_tokens > 20_000


def test_after_five_minutes_it_is_paid_again(server: MessagesServer) -> None:
    mine = talk(server, system=LONG)
    reads = []
    for seconds in (0, 299, 299, 301):
        server.call(lambda: setattr(server, "now", server.now + seconds))  # noqa: B023
        usage = mine.ask("Hi").usage
        reads.append(usage.cache_read_input_tokens if usage else 0)
    assert not reads[0] and reads[1] and reads[2] and not reads[3]
    hour = talk(server, system=LONG, options={"cache_control": {"type": "ephemeral", "ttl": "1h"}})
    usage = hour.ask("Hi").usage
    assert usage is not None and usage.cache_write_1h_input_tokens


def test_without_a_cache_each_request_pays_all(server: MessagesServer) -> None:
    total, _ = ten_requests(server, talk(server, system=LONG, options={"cache_control": None}))
    assert total == uncached(total) and cost(total) == cost(uncached(total))


# The embedded model


@pytest.fixture
async def embedded() -> Endpoint:
    *_, end = [step async for step in start("embedded")]
    assert isinstance(end, Endpoint)
    return end


PROMPTS: dict[str, Callable[[Talk], None]] = {
    "a prompt": lambda mine: None,
    "a conversation": lambda mine: mine.history.extend([User(text="Hi"), Text(text="Hello.")]),
    "after a tool": lambda mine: mine.history.extend(
        [User(text="Add 1 and 2."), Call(id="abcdefghi", name="add"), Result(call_id="abcdefghi", text="3")]
    ),
}


@pytest.mark.slow(reason="test_embedded_model.py has one prompt on all wires")
@pytest.mark.parametrize("case", PROMPTS)
async def test_the_embedded_model_counts_the_same_on_both_wires(embedded: Endpoint, case: str) -> None:
    got = []
    for name in ("chat", "messages"):
        options = {"temperature": 0, "max_tokens": 12}
        mine = Talk(
            name, embedded.base_url, embedded.model, embedded.api_key, options=options, system="Be brief."
        )
        PROMPTS[case](mine)
        made = mine.ask("What is the capital of France?")
        assert made.usage is not None and not made.usage.estimated
        got.append((made.text, made.usage.input_tokens, made.usage.output_tokens, made.stop_reason))
    assert got[0] == got[1] and got[0][0].strip()


@pytest.mark.slow(reason="test_embedded_model.py has one prompt on all wires")
async def test_the_embedded_model_says_when_it_was_cut_off(embedded: Endpoint) -> None:
    options = {"temperature": 0, "max_tokens": 4}
    mine = Talk("messages", embedded.base_url, embedded.model, embedded.api_key, options=options)
    assert mine.ask("Count from one to ninety.").stop_reason == "max_tokens"
    with pytest.raises(Refused, match="exceeds the available context size"):
        mine.ask("word " * 9000)
