"""What was said: kept and read again, and repaired for a server."""

from __future__ import annotations

import json
import random
import re
import time
from typing import Any

import pytest

from praison_nb.backends.local.wires.repair import STOPPED, make_id, repaired
from praison_nb.history import (
    Call,
    Item,
    Opaque,
    Result,
    Text,
    User,
    from_json,
    from_row,
    results_by_call,
    to_json,
)

NINE, USUAL = r"[A-Za-z0-9]{9}", r"[A-Za-z0-9_-]{1,64}"


def repair(*history: Item, ids: str = USUAL) -> list[Item]:
    return repaired(history, wire="chat", origin="mistral/small", ids=ids)


# Kept


@pytest.mark.parametrize(
    "item",
    [
        User(text="Hi", id="u"),
        Text(text="Hello\ud800", id="m"),
        Call(id="c", name="add", arguments="{"),
        Result(call_id="c", text="3", is_error=True),
        Opaque(wire="messages", model="anthropic/claude", payload={"type": "thinking", "signature": "a+b="}),
    ],
)
def test_an_item_is_read_as_it_was_kept(item: Item) -> None:
    assert from_json(json.loads(json.dumps(to_json(item)))) == [item] == from_json(item)
    assert from_row(to_json(item)) == item


def test_the_messages_of_before_are_read() -> None:
    function = {"name": "add", "arguments": '{"a": 1}'}
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Add."},
        {
            "role": "assistant",
            "content": "I do.",
            "tool_calls": [{"id": "c", "function": function}, {"id": 3}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "2"},
        {"role": "assistant", "content": [{"type": "text", "text": "It is "}, {"type": "text", "text": "2"}]},
    ]
    assert [item for each in messages for item in from_json(each)] == [
        User(text="Add."),
        Text(text="I do."),
        Call(id="c", name="add", arguments='{"a": 1}'),
        Result(call_id="c", text="2"),
        Text(text="It is 2"),
    ]


@pytest.mark.parametrize(
    "row",
    [
        None,
        3,
        "user",
        [],
        {},
        {"type": "picture", "v": 2},
        {"type": "user"},
        {"type": "user", "text": None},
        {"type": "call", "id": 1, "name": "f"},
        {"type": "opaque", "wire": "chat", "model": "/m", "payload": []},
        {"role": "assistant", "content": 5, "tool_calls": "none"},
        {"role": "tool", "content": "x"},
        {"role": ["user"], "content": "x"},
    ],
)
def test_what_is_no_item_holds_none_and_stays(row: Any) -> None:
    assert from_json(row) == []
    assert from_row(row) is row


def test_a_newer_version_may_say_more_of_an_item() -> None:
    assert from_json({**to_json(User(text="Hi")), "v": 2, "mood": "good"}) == [User(text="Hi")]


def test_a_result_is_of_the_latest_call_with_its_id() -> None:
    again = [
        Call(id="c", name="one"),
        Call(id="c", name="two"),
        Result(call_id="c", text="1"),
        Result(call_id="c", text="2"),
        Call(id="c", name="three"),
        User(text="Stop"),
        Call(id="c", name="four"),
        Result(call_id="c", text="4"),
        Result(call_id="gone", text="?"),
    ]
    assert {place: each.text for place, each in results_by_call(again).items()} == {0: "1", 1: "2", 6: "4"}


# Repaired


def test_a_history_that_needs_no_repair_is_the_same_objects() -> None:
    history = [
        User(text="naïve"),
        Opaque(wire="chat", model="mistral/small", payload={"reasoning_content": "hm"}),
        Text(text="I add."),
        Call(id="call_1", name="add", arguments='{"a": 1}'),
        Call(id="call_2", name="add", arguments="{}"),
        Result(call_id="call_1", text="1"),
        Result(call_id="call_2", text="2", is_error=True),
        Text(text="Done."),
    ]
    assert all(made is item for made, item in zip(repair(*history), history, strict=True))


def test_a_call_that_was_never_answered_is() -> None:
    made = repair(
        Call(id="a", name="f"), Call(id="b", name="f"), Result(call_id="b", text="B"), User(text="?")
    )
    assert made[2:] == [
        Result(call_id="a", text=STOPPED, is_error=True),
        Result(call_id="b", text="B"),
        User(text="?"),
    ]
    # At the end too, where the server is asked with it.
    assert repair(Call(id="a", name="f"))[1:] == [Result(call_id="a", text=STOPPED, is_error=True)]


def test_results_stand_behind_their_calls_and_nowhere_else() -> None:
    late = Result(call_id="a", text="late")
    made = repair(
        Result(call_id="a", text="orphan"),
        Call(id="a", name="f"),
        User(text="Go on"),
        late,
        late,
        Text(text=""),
    )
    assert made == [Call(id="a", name="f"), late, User(text="Go on")]


@pytest.mark.parametrize("ids", [NINE, USUAL, r"toolu_[A-Za-z0-9]+", r"[a-f0-9]{12}", r"\d{6}", r"\S+"])
def test_ids_have_the_servers_form_and_come_once(ids: str) -> None:
    history: list[Item] = []
    for number in range(50):
        key = ("call_abc", "Ab3dE6gH9", "naïve id", "", make_id("0 call_abc", ids))[number % 5]
        history += [Call(id=key, name="f"), Result(call_id=key, text=str(number))]
    made = repair(*history, ids=ids)
    calls = [item for item in made if isinstance(item, Call)]
    assert len({call.id for call in calls}) == 50 and all(re.fullmatch(ids, call.id) for call in calls)
    assert [(item.call_id, item.text) for item in made if isinstance(item, Result)] == [
        (call.id, str(number)) for number, call in enumerate(calls)
    ]
    # Whatever comes behind it: what a server keeps of the beginning serves again.
    assert repair(*history[:40], ids=ids) == made[:40]
    assert repair(*history, ids=ids) == made


def test_no_id_of_a_form_that_nothing_has() -> None:
    with pytest.raises(ValueError, match="form"):
        make_id("x", r"[~]{3}")


@pytest.mark.parametrize(
    ("name", "arguments", "sent"),
    [
        ("no such/tool", "{}", ("no_such_tool", {})),
        ("", "", ("unnamed", {})),
        ("f" * 100, ' {"a": 1} ', ("f" * 64, {"a": 1})),
        ("f", "[1]", ("f", {"not_an_object": "[1]"})),
        ("f", "null", ("f", {"not_an_object": "null"})),
        ("f", '{"a": ', ("f", {"not_an_object": '{"a": '})),
        ("f", '{"a": NaN}', ("f", {"not_an_object": '{"a": NaN}'})),
        ("f", "[" * 100_000, ("f", {"not_an_object": "[" * 100_000})),
        ("f", '{"a": "\udce9"}', ("f", {"a": "�"})),
    ],
)
def test_names_and_arguments_can_be_sent(name: str, arguments: str, sent: tuple[str, Any]) -> None:
    call = repair(Call(id="c", name=name, arguments=arguments))[0]
    assert isinstance(call, Call) and (call.name, json.loads(call.arguments)) == sent


def test_an_opaque_item_goes_back_to_who_wrote_it_only() -> None:
    payload = {"signature": "c2ln\ud800"}
    mine = Opaque(wire="chat", model="mistral/small", payload=payload)
    others = [
        Opaque(wire="messages", model="mistral/small", payload=payload),
        Opaque(wire="chat", model="mistral/large", payload=payload),
        Opaque(wire="chat", model="/small", payload=payload),
    ]
    (made,) = repair(*others, mine)
    assert made is mine


def test_halves_of_characters_are_none() -> None:
    made = repair(User(text="a\ud800"), Call(id="c", name="f"), Result(call_id="c", text="\udce9"))
    assert json.dumps([to_json(item) for item in made], ensure_ascii=False).encode()


def at_random(rng: random.Random) -> list[Item]:
    """A history as no loop should leave it."""
    ids, texts = ("a", "b", "Ab3dE6gH9", "no id", ""), ("", "Hi", "\ud800", "é")
    makers = [
        lambda: User(text=rng.choice(texts)),
        lambda: Text(text=rng.choice(texts)),
        lambda: Call(
            id=rng.choice(ids), name=rng.choice(("f", "", "a b")), arguments=rng.choice(("{}", "[", ""))
        ),
        lambda: Result(call_id=rng.choice(ids), text=rng.choice(texts)),
        lambda: Opaque(wire=rng.choice(("chat", "messages")), model=rng.choice(("mistral/small", "/m"))),
    ]
    return [rng.choice(makers)() for _ in range(rng.randrange(12))]


@pytest.mark.parametrize("ids", [NINE, USUAL])
def test_any_history_becomes_one_that_a_server_takes(ids: str) -> None:
    rng = random.Random(1)
    for _ in range(3000):
        history = at_random(rng)
        made = repair(*history, ids=ids)
        seen: set[str] = set()
        due: list[str] = []
        behind: Item | None = None
        for item in made:
            # The results of a reply's calls stand in one row.
            assert not (isinstance(behind, Result) and due) or isinstance(item, Result)
            behind = item
            match item:
                case Call():
                    assert re.fullmatch(ids, item.id) and item.id not in seen
                    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", item.name)
                    assert isinstance(json.loads(item.arguments), dict)
                    seen.add(item.id)
                    due.append(item.id)
                case Result():
                    assert item.call_id == due.pop(0)
                case User():
                    assert not due
                case Opaque():
                    assert (item.wire, item.model) == ("chat", "mistral/small")
        assert not due
        # Nothing that was said is lost, and what is whole stays whole.
        said = [item for item in history if isinstance(item, User) or (isinstance(item, Text) and item.text)]
        assert len([item for item in made if isinstance(item, User | Text)]) == len(said)
        assert len([item for item in made if isinstance(item, Call)]) == sum(
            isinstance(item, Call) for item in history
        )
        assert repair(*made, ids=ids) == made
        # A request's beginning stays as it was when more is said.
        more = [*history, User(text="more")]
        assert repair(*more, ids=ids)[:-1] == made


def test_a_long_conversation_costs_milliseconds() -> None:
    history: list[Item] = []
    for number in range(1000):
        history += [
            User(text=f"What about {number}? " * 5),
            Call(id=f"call_{number}", name="add", arguments=json.dumps({"a": number})),
            Result(call_id=f"call_{number}", text="word " * 100),
            Text(text="It is so. " * 20),
        ]
    repair(*history, ids=NINE)
    took = []
    for _ in range(5):
        begun = time.process_time()
        repair(*history, ids=NINE)
        took.append(time.process_time() - begun)
    assert min(took) < 0.05
