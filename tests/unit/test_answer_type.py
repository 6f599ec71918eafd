"""Types of answers: what is asked of the model, and what its text comes to."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import datetime
import enum
import json
import math
import pickle
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, Literal, TypedDict

import pydantic
import pytest

from praison_nb import Agent, LocalAgent, LocalAgentConfig, ScriptedBackend, redaction, turn_json
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


ODD_VALUES: list[tuple[Any, str, Any]] = [
    (datetime.datetime, "2026-01-02T03:04:05Z", datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)),
    (Decimal, '{"value": "0.10"}', Decimal("0.10")),
    (bytes, '{"value": "caf\u00e9"}', "café".encode()),
    (tuple[int, str], '{"value": [1, "a"]}', (1, "a")),
    (set[int], '{"value": [1, 2, 1]}', {1, 2}),
    (dict[int, str], '{"value": {"1": "a"}}', {1: "a"}),
    (float, "Infinity", float("inf")),
    (list[float], "[1, -Infinity, 1e999]", [1.0, float("-inf"), float("inf")]),
    (str, '{"value": "tab\t and \x1b[0m"}', "tab\t and \x1b[0m"),
    (str, '{"value": "\\ud83d"}', "\ufffd"),
    (str, "\ud83d", "\ufffd"),
    (str, "42", "42"),
    (Literal["1", "2"], "1", "1"),
    (str, "x" * 3_000_000, "x" * 3_000_000),
    (list[int], json.dumps([*range(20_000)]), [*range(20_000)]),
    (Point, 'As [1] says: {"x": 1}. See [2] and {3}.', Point(1.0)),
    (Point, '{a, b} of {"name": 1} is {"x": 1}', Point(1.0)),
    (Point, '{"x": 0}? No, {"x": 1}', Point(1.0)),
    (Point, 'It is {"x": 1, "of": {"x": 2}', None),
    (list[int], 'Of [1] and [2]: {"value": [3]}', [3]),
    (list[Point], 'Here: [{"x": 1}, {"x": 2}] [done]', [Point(1.0), Point(2.0)]),
    (Point, 'Here: [{"x": 1}, {"x":', None),
    (Point, 'As [1] says: {"x": 1}. See [2].', Point(1.0)),
    (Point, 'First:\n```python\nprint(1)\n```\nthen\n```json\n{"x": 1}\n```', Point(1.0)),
    (Point, '```\n{"x": 2}\n```', Point(2.0)),
]


@pytest.mark.parametrize(("kind", "text", "value"), ODD_VALUES)
def test_values_that_json_has_otherwise(kind: Any, text: str, value: Any) -> None:
    output = AnswerType(kind)
    if value is None:
        with pytest.raises(InvalidAnswerError):
            output.parse(text)
        return
    answer = output.parse(text)
    assert answer.value == value
    # As files have it, and back.
    given = json.loads(json.dumps(answer.given))
    assert output.load(given).value == value and len(answer.frame) == len(answer.records)


def test_not_a_number() -> None:
    answer = AnswerType(float).parse('{"value": NaN}')
    assert math.isnan(answer.value) and answer.data == "NaN"
    assert math.isnan(AnswerType(float).load(answer.given).value)


class Share(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    part: float = pydantic.Field(alias="partInPercent")

    @pydantic.field_validator("part")
    @classmethod
    def _of_one(cls, part: float) -> float:
        return part / 100

    @pydantic.computed_field
    def rest(self) -> float:
        return 1 - self.part


def test_a_value_is_made_again_of_what_the_model_gave() -> None:
    """What a type writes is not always what it reads."""
    output = AnswerType(Share)
    answer = output.parse('{"partInPercent": 25}')
    again = output.load(answer.given)
    assert again.value.part == answer.value.part == 0.25
    assert list(again.frame.columns) == ["part", "rest"] and again.frame["part"].dtype == "Float64"


@pytest.mark.parametrize(
    "text",
    [
        *("[" * depth for depth in (190, 990, 100_000)),
        *('{"children":[' * depth + "]}" * depth for depth in (90, 300, 480, 100_000)),
        '{"name": "a", "children":[' * 300 + "]}" * 300,
        "```" + " " * 200_000,
        "```" * 100_000,
        "1" * 10_000,
        '{"a"' * 100_000,
    ],
    ids=lambda text: f"{text[:16]}-{len(text)}",
)
@pytest.mark.parametrize("kind", [Tree, int, list[Tree], dict[str, Any]])
def test_hostile_texts_end_soon(kind: Any, text: str) -> None:
    began = time.process_time()
    with contextlib.suppress(InvalidAnswerError):
        AnswerType(kind).parse(text)
    assert time.process_time() - began < 2


def test_a_reason_is_one_short_line_without_secrets() -> None:
    redaction.register("hunter2-hunter2", "password")
    text = json.dumps({"name": "hunter2-hunter2 \x1b[2J\n" * 1000})
    with pytest.raises(InvalidAnswerError) as caught:
        AnswerType(Quoting).parse(text)
    line = str(caught.value)
    assert "no hunter2" not in line and "hunter2-hunter2" not in line
    assert "\x1b" not in line and "\n" not in line and len(line) <= 500


class Quoting(pydantic.BaseModel):
    name: str

    @pydantic.field_validator("name")
    @classmethod
    def _quotes(cls, name: str) -> str:
        raise ValueError(f"no {name}")


@pytest.mark.parametrize("kind", [Ticket, list[Point], Colour, int])
def test_a_pickle_and_a_copy_are_the_same(kind: Any) -> None:
    output = AnswerType(kind)
    assert pickle.loads(pickle.dumps(output)) == copy.deepcopy(output) == output != AnswerType(float)
    assert len({output, AnswerType(kind)}) == 1


def test_an_agent_of_which_the_config_has_a_type() -> None:
    config = LocalAgentConfig(model="m", output=list[Point])
    assert "output=AnswerType(list[Point])" in repr(config)
    assert pickle.loads(pickle.dumps(config)) == copy.deepcopy(config) == config
    with pytest.raises(ConfigError, match="5 is no type of answers"):
        LocalAgentConfig(model="m", output=5)
    with pytest.raises(ConfigError, match="comes whole"):
        Agent("a", LocalAgent(config)).start("Which?", stream=True)


@pytest.mark.parametrize("kind", [int, Literal["good", "bad"], Colour, Point, list[Point], Ticket, list[int]])
@pytest.mark.parametrize("text", ["", "none of it", '{"value": {"a": []}}', '{"x": [', "[" * 5000, "null"])
def test_what_does_not_fit_says_why(kind: Any, text: str) -> None:
    with pytest.raises(InvalidAnswerError, match="The answer is no ") as caught:
        AnswerType(kind).parse(text)
    assert "\n" not in str(caught.value) and "pydantic" not in str(caught.value)


def test_a_name_has_no_limits_in_it() -> None:
    count = Annotated[int, pydantic.Field(ge=1)]
    assert AnswerType(count).name == "int"
    output = AnswerType(list[count])
    assert (output.name, output.identifier) == ("list[int]", "list_int")


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


@pytest.mark.parametrize(
    "kind",
    [
        *(Callable[[], int], object(), Run, "int", 5, "Nowhere", {"x": int}, pydantic.EmailStr),
        test_not_a_number,
        # No text of JSON is ever one of these values.
        *(Literal[b"x", "y"], list[enum.Enum("Pair", {"A": (1, 2)})], enum.Enum("Nothing", {})),  # type: ignore[misc]
    ],
)
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
        "The answer is no int: value: Input should be a valid integer, unable to parse string as an integer. "
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
