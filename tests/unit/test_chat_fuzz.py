"""Whatever a server streams, nothing is raised and no text is lost."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from praison_nb.backends.local import rules as known
from praison_nb.backends.local.wires.base import Rules
from praison_nb.backends.local.wires.chat import WIRE
from praison_nb.history import User
from servers.chat_chunks import GEMINI, XAI, Read, chunk, piece, request

ODD: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    7,
    10**30,
    1.5,
    float("nan"),
    float("inf"),
    "",
    "x",
    "stop",
    "\ud83d",
    "<think>",
    "}",
    "{",
    [],
    [None],
    {},
    [[]],
    {"text": "t"},
    ["x", {"type": "thinking", "thinking": {}}],
    {"a": {"b": []}},
    [1, [2, [3]]],
]


def whole_stream(chance: random.Random) -> list[Any]:
    """A stream as it should be, of text, thinking, calls and usage."""
    events: list[Any] = [chunk({"role": "assistant", "content": ""})]
    events += [chunk({"reasoning_content": f"r{n} "}) for n in range(chance.randrange(3))]
    events += [chunk({"content": f"w{n} "}) for n in range(chance.randrange(6))]
    for index in range(chance.randrange(3)):
        events.append(piece(chance.choice(["add", "other"]), "", index=index, id=f"c{index}"))
        events += [piece(None, part, index=index) for part in ('{"a"', ":", "1}")]
    events.append(chunk(None, chance.choice(["stop", "tool_calls", "length"])))
    events.append({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}})
    return events


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each container in `value`, with each key in it."""
    for key in (
        list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    ):
        yield value, key
        yield from places(value[key])


def mutated(events: list[Any], chance: random.Random) -> list[Any]:
    made = json.loads(json.dumps(events))
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(made))
        match chance.randrange(6):
            case 0:
                made.insert(at, chance.choice(ODD))
            case 1:
                made.insert(at, made[chance.randrange(len(made))])
            case 2:
                made[at] = json.loads(json.dumps(made[chance.randrange(len(made))]))
            case _:
                if found := list(places(made[at])):
                    holder, key = chance.choice(found)
                    if isinstance(holder, dict) and chance.random() < 0.3:
                        holder[chance.choice(["content", "message", "text", "error", "index", "id"])] = (
                            holder[key]
                        )
                        del holder[key]
                    elif chance.random() < 0.2:
                        del holder[key]
                    else:
                        holder[key] = chance.choice(ODD)
    return made


def fuzz(first: int, count: int) -> None:
    for seed in range(first, first + count):
        chance = random.Random(seed)
        events = mutated(whole_stream(chance), chance)
        rules = chance.choice([Rules(), GEMINI, XAI, known.DEEPSEEK["chat"], known.OPENROUTER["chat"]])
        try:
            read = Read(*events, rules=rules)
            read.calls, read.reply.items  # noqa: B018
            said = "".join(event.text for event in read.made)
            came = [
                each["choices"][0]["delta"]["content"]
                for each in events
                if isinstance(each, dict)
                and isinstance(each.get("choices"), list)
                and each["choices"]
                and isinstance(each["choices"][0], dict)
                and isinstance(each["choices"][0].get("delta"), dict)
                and isinstance(each["choices"][0]["delta"].get("content"), str)
            ]
            for text in came:
                # A tag is none of the text; of half a character the other half may follow.
                is_whole = text.strip() and text not in ("<think>", "\ud83d")
                assert not is_whole or said.count(text.strip()) >= came.count(text)
            count_of = read.reply.usage
            if count_of is not None:
                assert min(count_of.input_tokens, count_of.output_tokens) >= 0
                assert count_of.reasoning_output_tokens <= count_of.output_tokens < 2**40
            json.dumps([str(item) for item in read.reply.items])
            WIRE.request(
                request(history=[User(text="Hi"), *read.reply.items, User(text="Go on")], rules=rules)
            )
        except Exception as error:
            raise AssertionError(f"seed {seed}: {events}") from error


def test_whatever_comes_nothing_is_raised_and_no_text_is_lost() -> None:
    fuzz(0, 500)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_whatever_comes_at_length() -> None:
    fuzz(500, 102_000)
