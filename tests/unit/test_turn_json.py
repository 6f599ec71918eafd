"""A Turn as JSON, and back."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import fields, replace
from decimal import Decimal
from typing import Any, get_args

import pytest

from praison_nb import errors
from praison_nb.answer_type import Answer
from praison_nb.content import OutputFile
from praison_nb.events import (
    Activity,
    AnswerParsed,
    ApprovalAnswered,
    ApprovalAsked,
    Event,
    FilesWritten,
    Notice,
    RequestFinished,
    RequestStarted,
    SessionAttached,
    SessionUsage,
    Spent,
    TextDelta,
    TextFinal,
    Thinking,
    ThreadChanged,
    ToolFinished,
    ToolStarted,
    TurnFailed,
    TurnFinished,
)
from praison_nb.fold import fold
from praison_nb.render.html import turn_html
from praison_nb.render.text import turn_text
from praison_nb.session import Usage
from praison_nb.store import StoreError
from praison_nb.turn import Message, ToolCall, Turn
from praison_nb.turn_json import VERSION, from_json, to_json

# A running turn's clock stands still: it begins when all tests are long over.
LATER = 4e9


def again(turn: Turn) -> Turn:
    return from_json(json.loads(json.dumps(to_json(turn))))


def assert_same(turn: Turn) -> None:
    other = again(turn)
    assert (turn_text(other), turn_html(other)) == (turn_text(turn), turn_html(turn))
    for name in ("text", "usage", "cost", "known_cost", "status", "tools", "waiting"):
        assert getattr(other, name) == getattr(turn, name), name
    assert str(other.cost) == str(turn.cost)
    assert [item.id for item in other.items] == [item.id for item in turn.items]
    for field in fields(Turn):
        if field.name not in ("items", "error"):
            assert getattr(other, field.name) == getattr(turn, field.name), field.name
    assert repr(other.error) == repr(turn.error) and type(other.error) is type(turn.error)
    # What is kept once more is what was kept.
    assert to_json(other) == to_json(turn)


PIECES = [
    "Hello ", "", "# A head\n\n", "`code` ", "<script>alert(1)</script>", "| a | b |\n|-|-|\n", "\n\n",
    "$x^2$ ",
    "ä 😀 \u202e", "\x00\x1b[31m", '{"a": 1}', "[link](http://a.example)", "x" * 500, "\u2028", "\\",
]  # fmt: skip


class Random(random.Random):
    """What can happen in a turn, from a seed."""

    def text(self) -> str:
        return "".join(self.choices(PIECES, k=self.randrange(4)))

    def usd(self) -> Decimal | None:
        amounts = ["0", "0.10", "1E-7", "0.0000000000000000000001", "12345678.123456789", "3.00"]
        return self.choice([None, *map(Decimal, amounts)])

    def usage(self) -> Usage:
        names = [field.name for field in fields(Usage) if field.name != "estimated"]
        return Usage(**{name: self.randrange(10**9) for name in names}, estimated=self.random() < 0.3)

    def call(self) -> str:
        return f"call-{self.randrange(4)}"

    def error(self) -> errors.PraisonError:
        kind = self.choice([errors.ConfigError, errors.RateLimitError, errors.BackendError, StoreError])
        return kind(self.text() or "It failed.")

    def event(self) -> Event:
        when = LATER + self.random() * 100
        make: list[Callable[[], Event]] = [
            lambda: SessionAttached(session_id=self.text(), model=self.choice(["", "m", "<b>"])),
            lambda: RequestStarted(input_tokens=self.randrange(5000)),
            lambda: TextDelta(text=self.text(), message_id=self.choice(["", "a", "b"]), time=when),
            lambda: TextFinal(text=self.text(), message_id=self.choice(["", "a", "b"]), time=when),
            lambda: Thinking(text=self.text()),
            lambda: AnswerParsed(answer=Answer("int", 3, 3, {"value": "Int64"})),
            lambda: ToolStarted(
                call_id=self.call(),
                name=self.choice(["look", "<i>"]),
                arguments=self.choice(['{"x": 1}', "{}", "{bad", '{"code": "a\\nb"}']),
                runs=self.choice(["function", "builtin", "mcp"]),
                time=when,
            ),
            lambda: ToolFinished(
                call_id=self.call(), result=self.text(), is_error=self.random() < 0.3, time=when
            ),
            lambda: ApprovalAsked(call_id=self.call()),
            lambda: ApprovalAnswered(call_id=self.call(), allowed=self.random() < 0.5),
            lambda: RequestFinished(
                model=self.choice(["", "m-2"]),
                usage=self.choice([None, self.usage()]),
                cost=self.usd(),
                thread=self.choice(["", "sthr_1", "sthr_2"]),
            ),
            lambda: ThreadChanged(
                thread=self.choice(["sthr_1", "sthr_3"]),
                agent=self.text(),
                status=self.choice(["idle", "<b>"]),
            ),
            lambda: SessionUsage(
                usage=self.usage(),
                list_cost=self.usd(),
                active_seconds=self.choice([None, self.random()]),
                extra_cost=self.usd() or Decimal(0),
                is_provider_cost=self.random() < 0.5,
                cache_write_1h_tokens=self.randrange(3),
            ),
            lambda: Spent(
                per=self.choice(["turn", "session", "notebook", "day"]),
                usd=self.usd() or Decimal(0),
                limit=self.choice([None, Decimal("0.50")]),
                turns=self.randrange(4),
                unpriced=self.randrange(2),
            ),
            lambda: Activity(text=self.text()),
            lambda: Notice(text=self.text()),
            lambda: FilesWritten(
                files=(
                    OutputFile(id="file_1", name=self.text(), size=self.randrange(5000)),
                    OutputFile(id="f", name="a.csv", media_type="text/csv", content=self.text()),
                    OutputFile(id="f", name="a.png", media_type="image/png", content="AAAA"),
                )
            ),
        ]
        if self.random() < 0.04:
            reasons = ["end_turn", "interrupted", "max_turns", "budget_reached", "a provider's own"]
            make = [
                lambda: TurnFinished(stop_reason=self.choice(reasons), detail=self.text(), time=when),
                lambda: TurnFailed(error=self.error(), time=when),
            ]
        return self.choice(make)()


@pytest.mark.parametrize(
    "seed", [*range(5), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(5, 20))]
)
def test_turns_come_back_as_they_are_shown(seed: int) -> None:
    chance = Random(seed)
    turn = Turn(prompt=chance.text(), session="s", backend="local", started=LATER, notices=(chance.text(),))
    assert_same(turn)
    for _ in range(60):
        turn = fold(turn, chance.event())
        assert_same(turn)


def test_every_event_is_tried() -> None:
    chance = Random(0)
    assert {type(chance.event()) for _ in range(5000)} == set(get_args(Event))


def test_an_error_keeps_its_name_and_words() -> None:
    class TheirsError(errors.PraisonError):
        def __init__(self, one: str, two: str) -> None:
            super().__init__(one + two)

    for error in (errors.RateLimitError("Too many.", retry_after=3.0), TheirsError("a", "b")):
        made = again(Turn(error=error, ended=1.0)).error
        assert made is not None and made.turn is not None and isinstance(made, errors.PraisonError)
        assert f"{type(made).__name__}: {made}" == f"{type(error).__name__}: {error}"
    assert isinstance(again(Turn(error=errors.RateLimitError("x"))).error, errors.RateLimitError)


def test_what_a_newer_minor_version_has_more_is_left_out() -> None:
    call = ToolCall("c", "look", "{}", "function", 1.0)
    turn = Turn(prompt="Hi", items=(Message("m", ("Hello",)), call), ended=2.0)
    data = to_json(turn)
    data["version"] = "1.7"
    data["mood"] = {"of": "the model"}
    data["counted"]["thought_tokens"] = 3
    data["items"][0]["language"] = "en"
    data["items"].append({"type": "picture", "data": "…"})
    made = from_json(data)
    assert made.items == turn.items and made.counted == turn.counted


def test_what_was_stored_before_is_still_read() -> None:
    session = {"usage": {"output_tokens": 9}, "list_cost": "0.20", "beyond": "0.03", "is_provider_cost": True}
    request = {"id": "r", "time": 1.0, "input_tokens": 3}
    stored = {"session_usage": session, "open_request": request, "open_characters": 8}
    turn = from_json({"version": "1.0", "priced": "0.10", **stored})
    assert turn.known_cost == Decimal("0.13") and turn.pending.input_tokens == 3
    assert turn.pending.output_tokens == 2
    # An older version reads what this one writes.
    assert {*stored} <= {*to_json(turn)} and to_json(turn)["session_usage"]["beyond"] == "0.03"


@pytest.mark.parametrize("version", ["2.0", "10.3"])
def test_a_newer_version_is_one_line_that_says_what_to_do(version: str) -> None:
    with pytest.raises(ValueError, match=r"newer praison_nb.*update this one") as caught:
        from_json({**to_json(Turn()), "version": version})
    assert version in str(caught.value) and VERSION in str(caught.value) and "\n" not in str(caught.value)


DAMAGE: list[Any] = [
    None, [], 5, "text", {}, {"version": 1}, {"version": "1"}, {"version": "x.y"},
    {"started": "now"}, {"started": float("nan")}, {"started": True}, {"prompt": None}, {"prompt": ["Hi"]},
    {"items": {}}, {"items": ["x"]}, {"items": [{"type": "tool"}]},
    {"items": [{"type": "message", "text": 3}]}, {"priced": 0.1}, {"priced": "much"}, {"priced": "NaN"},
    {"counted": []}, {"counted": {"output_tokens": 1.5}},
    {"spent": [{"per": "turn"}]}, {"error": "it failed"}, {"error": {"type": 3}}, {"notices": [None]},
    {"open_request": []}, {"session_usage": {"usage": None}}, {"unpriced_requests": "1"},
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE, ids=repr)
def test_damage_is_one_line(damage: Any) -> None:
    data = damage
    if isinstance(damage, dict) and damage and "version" not in damage:
        data = {**to_json(Turn()), **damage}
    with pytest.raises(ValueError, match=r"damaged") as caught:
        from_json(data)
    assert "\n" not in str(caught.value)


def test_a_long_answer_in_small_pieces_is_one_text() -> None:
    turn = Turn(ended=1.0)
    for _ in range(1000):
        turn = fold(turn, TextDelta(text="word ", message_id="a"))
    assert again(turn).items == (Message("a", ("word " * 1000,)),)
    assert replace(again(turn), items=turn.items) == turn
