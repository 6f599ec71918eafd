"""Whatever a server of Messages sends: nothing is raised, no text is lost, and the conversation can go on."""

from __future__ import annotations

import copy
import json
import random
from dataclasses import replace
from typing import Any

import pytest
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming

from praison_nb.backends.local.wires import ModelRequest, Rules, wire
from praison_nb.events import TextDelta
from praison_nb.history import Call, Opaque, Text, User
from servers.hosted_types import check_request
from servers.messages import reply

WIRE = wire("messages")
RULES = Rules(ids="[A-Za-z0-9_-]{1,64}", assistant_after_tool=False)
ASKED = ModelRequest(model="claude-opus-4-8", origin="anthropic/m", history=(User(text="Hi"),), rules=RULES)


def text_of(event: dict[str, Any]) -> str:
    """The text that an event has where text belongs."""
    delta = event.get("delta")
    text = delta.get("text") if isinstance(delta, dict) else ""
    return text if isinstance(text, str) else ""


def is_foreign(item: Any) -> bool:
    """Whether it is a block of which we know nothing, so that damage to it is not seen."""
    return isinstance(item, Opaque) and "thinking" not in item.payload["block"]["type"]


JUNK: list[Any] = [None, 0, -1, 1.5, "", "x", [], {}, [[]], {"type": "text"}, True, "\ud83d", 10**30]


def mutated(rng: random.Random, events: list[Any]) -> list[Any]:
    """Some fields are lost or replaced, some events lost, doubled or elsewhere."""
    events = copy.deepcopy(events)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(events))
        match rng.randrange(6):
            case 0:
                del events[at]
            case 1:
                events.insert(rng.randrange(len(events)), copy.deepcopy(events[at]))
            case 2:
                events[at], events[-1] = events[-1], events[at]
            case _:
                place = events[at]
                while isinstance(place, dict) and place:
                    key = rng.choice(list(place))
                    if isinstance(place[key], dict) and rng.random() < 0.8:
                        place = place[key]
                        continue
                    place[key] = rng.choice(JUNK)
                    if rng.random() < 0.3:
                        del place[key]
                    break
        if not events:
            break
    return events


def fuzz(seed: int) -> None:
    rng = random.Random(seed)
    whole = reply(
        "Hello, world. " * rng.randint(0, 3),
        calls=[("add", '{"a": 1}')] * rng.randint(0, 3),
        thinking=rng.choice([None, "", "Hm."]),
        redacted=rng.random() < 0.2,
        blocks=[{"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}]
        * rng.randint(0, 1),
    )
    events = mutated(rng, whole)
    reader = WIRE.reader(ASKED)
    got = ""
    for event in events[: rng.randint(0, len(events))] if rng.random() < 0.3 else events:
        if not isinstance(event, dict):
            continue
        came = list(reader.read(event))
        shown = "".join(each.text for each in came if isinstance(each, TextDelta))
        assert text_of(event).replace("\ud83d", "") in shown, event
        got += shown
    list(reader.end())
    assert reader.reply.text == got
    assert all(isinstance(item, Text | Call | Opaque) for item in reader.reply.items)
    usage = reader.reply.usage
    assert usage is None or min(usage.input_tokens, usage.output_tokens, usage.uncached_input_tokens) >= 0
    # And the conversation goes on with whatever it came to.
    items = [item for item in reader.reply.items if not is_foreign(item)]
    history = (*ASKED.history, *items, User(text="Go on"))
    made = json.dumps(WIRE.request(replace(ASKED, history=history)), allow_nan=False)
    check_request(MessageCreateParamsNonStreaming, json.loads(made))


def test_mutated_streams() -> None:
    for seed in range(500):
        fuzz(seed)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_very_many_mutated_streams() -> None:
    for seed in range(500, 102_000):
        fuzz(seed)
