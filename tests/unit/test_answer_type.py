"""Types of answers: what is asked of the model, and what its text comes to."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
from collections.abc import Callable
from typing import Any, Literal, TypedDict

import pydantic
import pytest

from praison_nb import Agent, ScriptedBackend, turn_json
from praison_nb.answer_type import AnswerType
from praison_nb.errors import ConfigError, InvalidAnswerError
from praison_nb.events import TextDelta, TurnFinished
from praison_nb.runtime.run import Run


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Ticket(pydantic.BaseModel):
    subject: str
    urgency: int
    colour: Colour | None = None
    day: datetime.date | None = None
    tags: list[str] = []


@dataclasses.dataclass
class Point:
    x: float
    y: float = 0.0


class Place(TypedDict):
    name: str
    inside: bool


class Tree(pydantic.BaseModel):
    name: str
    children: list[Tree] = []


TICKET = {"subject": "Help", "urgency": 3, "colour": "red", "day": "2026-01-02"}

VALUES: list[tuple[Any, str, Any]] = [
    (int, '{"value": 42}', 42),
    (int, "42", 42),
    (int, "```json\n42\n```", 42),
    (bool, '{"value": true}', True),
    (str, '{"value": "a"}', "a"),
    (Literal["good", "bad"], "good", "good"),
    (Literal["good", "bad"], '"bad"', "bad"),
    (Colour, '{"value": "red"}', Colour.RED),
    (Point, '{"x": 1}', Point(1.0)),
    (Place, 'Here you are: {"name": "Rome", "inside": false}.', {"name": "Rome", "inside": False}),
    (list[int], '{"value": [1, 2]}', [1, 2]),
    (list[int], "[1, 2]", [1, 2]),
    (list[Point], '{"value": [{"x": 1}, {"x": 2, "y": 3}]}', [Point(1.0), Point(2.0, 3.0)]),
    (int | None, '{"value": null}', None),
    (dict[str, int], '{"value": {"a": 1}}', {"a": 1}),
    (dict[str, int], '{"a": 1}', {"a": 1}),
    (Tree, '{"name": "a", "children": [{"name": "b"}]}', Tree(name="a", children=[Tree(name="b")])),
    (Ticket, json.dumps(TICKET), Ticket.model_validate(TICKET)),
    (Ticket | Place, json.dumps({"value": TICKET}), Ticket.model_validate(TICKET)),
]


@pytest.mark.parametrize(("kind", "text", "value"), VALUES)
def test_what_a_text_comes_to(kind: Any, text: str, value: Any) -> None:
    output = AnswerType(kind)
    answer = output.parse(text)
    assert answer.value == value and type(answer.value) is type(value)
    json.dumps(answer.data, allow_nan=False)
    assert output.schema["type"] == "object" and output.schema["properties"]


@pytest.mark.parametrize("kind", [int, Literal["good", "bad"], Colour, Point, list[Point], Ticket, list[int]])
@pytest.mark.parametrize("text", ["", "none of it", '{"value": {"a": []}}', '{"x": [', "[" * 5000, "null"])
def test_what_does_not_fit_says_why(kind: Any, text: str) -> None:
    with pytest.raises(InvalidAnswerError, match="The answer is no ") as caught:
        AnswerType(kind).parse(text)
    assert "\n" not in str(caught.value) and "pydantic" not in str(caught.value)


def test_a_reason_names_the_field() -> None:
    with pytest.raises(InvalidAnswerError, match=r"no list\[Ticket\]: 1\.urgency: Input should be a valid"):
        AnswerType(list[Ticket]).parse(json.dumps([TICKET, {**TICKET, "urgency": "very"}]))


class Picky(pydantic.BaseModel):
    name: str

    @pydantic.field_validator("name")
    @classmethod
    def _raises(cls, name: str) -> str:
        raise KeyError(name)


def test_an_error_in_the_users_validator_is_the_answers() -> None:
    with pytest.raises(InvalidAnswerError, match="KeyError"):
        AnswerType(Picky).parse('{"name": "a"}')


@pytest.mark.parametrize("kind", [Callable[[], int], object(), Run, "int", 5, "Nowhere"])
def test_what_is_no_type(kind: Any) -> None:
    with pytest.raises(ConfigError, match="is no type of answers"):
        AnswerType(kind)


def test_frames_have_columns_and_dtypes() -> None:
    frame = AnswerType(list[Ticket]).parse(json.dumps([TICKET, {"subject": "b", "urgency": 1}])).frame
    assert frame["urgency"].dtype == "Int64" and frame["subject"].dtype == "string"
    assert frame["colour"].dtype == "category" and frame["colour"][0] == "red"
    assert frame["day"][0] == datetime.date(2026, 1, 2)
    assert list(AnswerType(list[Ticket]).parse("[]").frame.columns)[:2] == ["subject", "urgency"]
    assert AnswerType(Point).parse('{"x": 1}').frame.to_dict("records") == [{"x": 1.0, "y": 0.0}]
    labels = AnswerType(list[Literal["a", "b"]]).parse('["a", "b", "a"]').frame
    assert labels["value"].dtype == "category" and list(labels["value"]) == ["a", "b", "a"]
    assert AnswerType(int).parse(str(10**30)).frame["value"][0] == 10**30


def _backend(*answers: str) -> ScriptedBackend:
    """One that answers its prompts in turn."""
    left = list(answers)

    async def answer(run: Run) -> TextDelta:
        return TextDelta(text=left.pop(0), message_id=str(len(left)))

    return ScriptedBackend([answer])


def test_a_turn_has_the_value() -> None:
    agent = Agent("a", _backend('{"value": [1, 2]}'))
    assert agent.start("Which?", output=list[int]) == [1, 2]
    assert agent.turn is not None and agent.turn.value == [1, 2]
    assert list(agent.turn.frame["value"]) == [1, 2]
    again = turn_json.from_json(json.loads(json.dumps(turn_json.to_json(agent.turn))))
    assert again.value == [1, 2] and again.frame["value"].dtype == "Int64"


def test_what_does_not_fit_is_asked_for_once_more() -> None:
    turn = _backend("many", "42").begin("How many?", output=int).wait()
    assert turn.value == 42 and turn.text == "many\n\n42" and turn.stop_reason == "end_turn"
    assert turn.notices == (
        "The answer is no int: value: Input should be a valid integer, unable to parse string as an integer "
        "It was asked once more.",
    )


def test_twice_is_an_error_and_nothing_is_lost() -> None:
    agent = Agent("a", _backend("many", "most"))
    with pytest.raises(InvalidAnswerError, match="The answer is no int") as caught:
        agent.start("How many?", output=int)
    assert caught.value.turn.text == "many\n\nmost" and caught.value.turn.status == "error"


def test_one_that_is_cut_off_says_so() -> None:
    backend = ScriptedBackend([TextDelta(text='{"value": [1, '), TurnFinished(stop_reason="max_tokens")])
    with pytest.raises(InvalidAnswerError, match=r"cut off before it was a whole list\[int\]"):
        Agent("a", backend).start("Which?", output=list[int])


def test_a_turn_that_ended_before_has_no_value() -> None:
    backend = ScriptedBackend([TurnFinished(stop_reason="refusal", detail="not this")])
    with pytest.raises(InvalidAnswerError, match="There is no answer: not this"):
        Agent("a", backend).start("Which?", output=int)
