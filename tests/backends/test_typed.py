"""Typed answers on each of the three wires, against servers that refuse what the real ones refuse."""

from __future__ import annotations

import base64
import dataclasses
import enum
import json
import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import pydantic
import pytest

from praison_nb import Agent, LocalAgent, LocalAgentConfig
from praison_nb.answer_type import AnswerType
from praison_nb.backends.local import output
from praison_nb.backends.local.wires.schemas import strict_schema
from praison_nb.errors import InvalidAnswerError
from servers import messages, openai, responses
from servers.answer_kinds import made
from servers.format_rules import anthropic_refusal
from servers.messages import MessagesServer
from servers.openai import OpenAIServer
from servers.responses import ResponsesServer

WIRES = ("chat", "responses", "messages")
_REPLIES: dict[str, Any] = {
    "chat": openai.reply, "responses": responses.reply, "messages": messages.reply
}  # fmt: skip
REFUSAL = {
    "chat": "This response_format type is unavailable now",
    "responses": "Unsupported parameter: 'text.format' is not supported with this model.",
    "messages": "'m' does not support output format.",
}


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Ticket(pydantic.BaseModel):
    subject: str = pydantic.Field(min_length=1)
    urgency: int = pydantic.Field(ge=0, le=5)
    colour: Colour | None = None


class Tree(pydantic.BaseModel):
    name: str
    children: list[Tree] = []


@dataclasses.dataclass
class Point:
    x: float
    y: float = 0.0


TICKET = '{"subject": "Help", "urgency": 3, "colour": "red"}'
HELP = Ticket(subject="Help", urgency=3, colour=Colour.RED)


class Peer:
    """A scripted server on one wire, and what it was asked."""

    def __init__(self, wire: str, stack: ExitStack, rules: str = "openai") -> None:
        self.wire = wire
        kind: Any = {"responses": ResponsesServer, "messages": MessagesServer}.get(wire)
        self.server: Any = stack.enter_context(kind() if kind else OpenAIServer(rules))

    def agent(self, **fields: Any) -> LocalAgent:
        provider = {"responses": "openai", "messages": "anthropic"}.get(self.wire, "")
        given = {"model": "m", "wire": self.wire, "provider": provider, "base_url": self.server.base_url}
        return LocalAgent(LocalAgentConfig(**{**given, "api_key": "test-key", **fields}))

    def answers(self, text: str = "", **more: Any) -> None:
        self.server.script(_REPLIES[self.wire](text, **more))

    @property
    def ways(self) -> list[str]:
        """How each request asked for the answer."""
        return [_way(body) for body in self.server.bodies]

    def refuse(self, times: int, message: str) -> None:
        self.server.refuse(times, status=400, message=message)


def _way(body: dict[str, Any]) -> str:
    form = body.get("response_format") or body.get("text") or body.get("output_config", {}).get("format")
    if form:
        return "format"
    choice = body.get("tool_choice")
    if choice not in (None, "auto", {"type": "auto"}, {"type": "none"}):
        return "tool"
    return "words" if "Answer with JSON alone" in json.dumps(body) else "none"


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[ExitStack]:
    monkeypatch.setattr(output, "_refused", {})
    with ExitStack() as opened:
        yield opened


@pytest.fixture(params=WIRES)
def peer(request: pytest.FixtureRequest, stack: ExitStack) -> Peer:
    return Peer(request.param, stack)


def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Ticket, TICKET, HELP),
        (list[Ticket], f'{{"value": [{TICKET}]}}', [HELP]),
        (Literal["a", "b"], '{"value": "b"}', "b"),
        (Literal["a", 1, True, None], '{"value": 1}', 1),
        (Colour, '{"value": "blue"}', Colour.BLUE),
        (Point, '{"x": 1, "y": 2}', Point(1.0, 2.0)),
        (int | None, '{"value": null}', None),
    ],
)
def test_the_format_of_the_wire(peer: Peer, kind: Any, text: str, value: Any) -> None:
    peer.answers(text)
    agent = Agent("a", peer.agent())
    assert agent.start("Which?", output=kind) == value
    assert peer.ways == ["format"] and agent.turn is not None and not agent.turn.notices
    assert agent.turn.value == value and len(agent.turn.frame) == 1


@pytest.mark.parametrize(("kind", "text"), [(dict[str, int], '{"a": 1}'), (Tree, '{"name": "a"}')])
def test_what_no_strict_schema_says(peer: Peer, kind: Any, text: str) -> None:
    """Anthropic takes neither; there a tool is next."""
    if peer.wire == "messages":
        peer.answers(calls=[("answer", text)])
    else:
        peer.answers(text)
    assert Agent("a", peer.agent()).start("Which?", output=kind)
    assert peer.ways[-1] == ("tool" if peer.wire == "messages" else "format")


def test_a_tool_where_the_format_is_refused_and_then_at_once(peer: Peer) -> None:
    peer.refuse(1, REFUSAL[peer.wire])
    for number in (3, 4):
        peer.answers(calls=[("answer", TICKET.replace("3", str(number)))])
    agent = Agent("a", peer.agent())
    assert agent.start("Which?", output=Ticket).urgency == 3
    assert agent.turn is not None and agent.turn.text == TICKET and not agent.turn.tools
    assert agent.start("And now?", output=Ticket).urgency == 4
    assert peer.ways == ["format", "tool", "tool"]
    peer.answers("Nothing more.")
    assert agent.start("Anything else?") == "Nothing more." and peer.ways[-1] == "none"


def test_words_where_a_tool_is_refused_too(peer: Peer) -> None:
    peer.refuse(1, REFUSAL[peer.wire])
    peer.refuse(1, "This model does not support this tool_choice.")
    peer.answers(f"Here it is:\n```json\n{TICKET}\n```\nAnything else?")
    peer.answers(TICKET)
    agent = Agent("a", peer.agent())
    assert agent.start("Which?", output=Ticket) == agent.start("And now?", output=Ticket) == HELP
    assert peer.ways == ["format", "tool", "words", "words"]
    # The conversation has what the user wrote.
    asked = [each["content"] for each in agent.chat_history if each["role"] == "user"]
    assert asked == ["Which?", "And now?"]


def test_what_one_address_refuses_another_is_asked(peer: Peer, stack: ExitStack) -> None:
    """Of the same provider and model: a proxy, say."""
    peer.refuse(1, REFUSAL[peer.wire])
    peer.answers(calls=[("answer", TICKET)])
    other = Peer(peer.wire, stack)
    other.answers(TICKET)
    assert peer.agent(provider="openai").begin("Which?", output=Ticket).wait().value == HELP
    assert other.agent(provider="openai").begin("Which?", output=Ticket).wait().value == HELP
    assert (peer.ways, other.ways) == (["format", "tool"], ["format"])


def test_another_refusal_is_an_error(peer: Peer) -> None:
    peer.refuse(1, "This model is not there.")
    turn = peer.agent().begin("Which?", output=Ticket).wait()
    assert "not there" in str(turn.error) and peer.ways == ["format"]


def test_a_refused_schema_is_one_alone(peer: Peer) -> None:
    peer.refuse(1, "Invalid schema for response_format 'Ticket': too many properties.")
    peer.answers(calls=[("answer", TICKET)])
    peer.answers('{"value": 5}')
    agent = peer.agent()
    assert agent.begin("Which?", output=Ticket).wait().value == HELP
    assert agent.begin("How many?", output=int).wait().value == 5
    assert peer.ways == ["format", "tool", "format"]


@pytest.mark.parametrize("refusals", [0, 1, 2])
def test_with_tools_in_the_same_turn(peer: Peer, refusals: int) -> None:
    if refusals:
        peer.refuse(1, REFUSAL[peer.wire])
    if refusals > 1:
        peer.refuse(1, "Invalid tool_choice.")
    # What it gives beside other calls came too early.
    early = [("answer", '{"value": 1}')] if refusals == 1 else []
    peer.answers(calls=[("add", '{"a": 2}'), *early])
    if refusals == 1:
        peer.answers(calls=[("answer", '{"value": 3}')])
    else:
        peer.answers('{"value": 3}')
    agent = peer.agent(tools=[add])
    turn = agent.begin("2 + 1?", output=int).wait()
    assert turn.error is None and turn.value == 3 and [call.name for call in turn.tools] == ["add"]
    peer.answers("Six.")
    assert agent.begin("Twice that?").wait().text == "Six."


def test_not_fitting_is_asked_once_more_and_counted(peer: Peer) -> None:
    peer.answers('{"subject": "", "urgency": 9}', usage=(10, 5))
    peer.answers(TICKET, usage=(20, 7))
    turn = peer.agent().begin("Which?", output=Ticket).wait()
    assert turn.value == HELP and len(turn.requests) == 2
    assert (turn.usage.input_tokens, turn.usage.output_tokens) == (30, 12)
    (notice,) = turn.notices
    assert "urgency: Input should be less than or equal to 5" in notice and "once more" in notice
    sent = json.dumps(peer.server.bodies[-1])
    assert "Answer again" in sent and sent.count("Answer with JSON alone") == 1


def test_twice_is_one_line(peer: Peer) -> None:
    for _ in range(2):
        peer.answers("I will not.", usage=(10, 5))
    with pytest.raises(InvalidAnswerError, match="The answer is no Ticket") as caught:
        Agent("a", peer.agent()).start("Which?", output=Ticket)
    turn = caught.value.turn
    assert turn.text == "I will not.\n\nI will not." and turn.usage.output_tokens == 10
    assert "\n" not in str(caught.value) and len(peer.ways) == 2


def test_nothing_at_all_is_asked_again_as_it_was(peer: Peer) -> None:
    peer.answers("")
    peer.answers(TICKET)
    assert peer.agent().begin("Which of them?", output=Ticket).wait().value == HELP
    assert "Which of them?" in json.dumps(peer.server.bodies[-1])


def test_cut_off(peer: Peer) -> None:
    if peer.wire == "responses":
        (message,) = [responses.message(TICKET[:20], status="incomplete")]
        details = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
        peer.server.script(responses.steps(message, usage=responses.usage(10, 5), **details))
    elif peer.wire == "chat":
        peer.answers(TICKET[:20], finish="length")
    else:
        peer.answers(TICKET[:20], stop="max_tokens")
    turn = peer.agent().begin("Which?", output=Ticket).wait()
    assert str(turn.error) == "The answer was cut off before it was a whole Ticket."
    assert turn.text == TICKET[:20] and turn.usage.output_tokens == 5 and len(peer.ways) == 1


def test_a_call_that_was_cut_off(peer: Peer) -> None:
    peer.refuse(1, REFUSAL[peer.wire])
    if peer.wire == "responses":
        call = responses.call("answer", TICKET[:20], status="incomplete")
        details = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
        peer.server.script(responses.steps(call, usage=responses.usage(10, 5), **details))
    elif peer.wire == "chat":
        peer.answers(calls=[("answer", TICKET[:20])], finish="length")
    else:
        # That stand-in reads its own calls: what is cut is a whole one that says it was.
        peer.answers(calls=[("answer", '{"subject": "Help"}')], stop="max_tokens")
    turn = peer.agent().begin("Which?", output=Ticket).wait()
    assert str(turn.error) == "The answer was cut off before it was a whole Ticket."
    assert turn.usage.output_tokens == 5 and len(turn.requests) == 2


def test_refused_by_the_model(peer: Peer) -> None:
    if peer.wire == "responses":
        message = responses.message("Not this.", refusal=True)
        peer.server.script(responses.steps(message, usage=responses.usage(10, 5)))
    elif peer.wire == "chat":
        peer.answers(before_end=[openai.chunk({"refusal": "Not "}), openai.chunk({"refusal": "this."})])
    else:
        peer.answers("Not this.", stop="refusal")
    with pytest.raises(InvalidAnswerError, match="There is no answer: ") as caught:
        Agent("a", peer.agent()).start("Which?", output=Ticket)
    assert caught.value.turn.text == "Not this." and len(peer.ways) == 1


def test_the_users_own_format_wins(peer: Peer) -> None:
    own: dict[str, Any] = {"type": "json_object"}
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    options = {
        "chat": {"response_format": own},
        "responses": {"text": {"format": own}},
        "messages": {"output_config": {"format": {"type": "json_schema", "schema": schema}}},
    }[peer.wire]
    peer.answers(TICKET)
    assert peer.agent(options=options).begin("Which?", output=Ticket).wait().value == HELP
    body = peer.server.bodies[-1]
    assert {name: body[name] for name in options} == options and "Answer with JSON alone" in json.dumps(body)


def test_the_config_has_a_type(peer: Peer) -> None:
    agent = Agent("a", peer.agent(output=Ticket))
    peer.answers(TICKET)
    assert agent.start("Which?") == HELP
    peer.answers('{"value": 2}')
    assert agent.start("How many?", output=int) == 2
    peer.answers("Bye.")
    agent.backend.update_agent(output=None)
    assert agent.start("Bye.") == "Bye."


@pytest.mark.parametrize("seed", range(8))
def test_random_types(peer: Peer, seed: int) -> None:
    """Whatever the type, the server takes one of the ways, and the value is the one that it gave."""
    chance = random.Random(seed)
    kind, value_of = made(chance)
    agent = Agent("a", peer.agent())
    wanted = AnswerType(kind)
    for _ in range(2):
        value = value_of(chance)
        data = wanted.adapter.dump_python(value, mode="json")
        text = json.dumps({"value": data} if wanted.is_wrapped else data)
        if peer.wire == "messages" and not _is_taken_by_anthropic(wanted):
            peer.answers(calls=[("answer", text)])
        else:
            peer.answers(text)
        assert agent.start("Which?", output=kind) == value


def _is_taken_by_anthropic(wanted: AnswerType) -> bool:
    strict = strict_schema(wanted.schema)
    return strict is not None and anthropic_refusal(strict) is None


def test_pictures_are_sent_once(peer: Peer, tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(base64.b64decode(PNG))
    peer.answers("A dot.")
    peer.answers(TICKET)
    assert peer.agent().begin("Which?", output=Ticket, attachments=[picture]).wait().value == HELP
    assert json.dumps(peer.server.bodies[-1]).count(PNG) == 1


# What a hostile model says


@pytest.mark.parametrize("text", ["[" * 100_000, '{"value":' * 100_000, '{"a": [' * 50_000 + "1"])
def test_brackets_without_end(peer: Peer, text: str) -> None:
    for _ in range(2):
        peer.answers(text, size=50_000)
    turn = peer.agent().begin("Which?", output=Tree).wait()
    assert isinstance(turn.error, InvalidAnswerError) and len(str(turn.error)) < 300
    peer.answers("Sorry.")


def test_secrets_and_control_characters_are_kept_out_of_lines(peer: Peer) -> None:
    agent = peer.agent(api_key="sk-proj-0123456789abcdefghijklmnop")
    bad = json.dumps({"subject": "", "sk-proj-0123456789abcdefghijklmnop": 1, "\x1b[2J\u202e": 2})
    for _ in range(2):
        peer.answers(bad)
    turn = agent.begin("Which?", output=Strict).wait()
    for line in (str(turn.error), *turn.notices):
        assert "0123456789" not in line and "\x1b" not in line and "\u202e" not in line
        assert "\n" not in line and len(line) < 600


class Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    subject: str


PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="


# Models that think


def test_a_model_that_thinks_is_held_to_the_format(stack: ExitStack) -> None:
    peer = Peer("messages", stack)
    for model in ("claude-opus-4-8", "claude-opus-5-5", "claude-haiku-4-5"):
        agent = peer.agent(model=model, effort="high", tools=[add])
        peer.answers(calls=[("add", '{"a": 2}')], thinking="Hm.")
        peer.answers('{"value": 3}', thinking="So.")
        assert agent.begin("2 + 1?", output=int).wait().value == 3
        config = peer.server.bodies[-1]["output_config"]
        assert config["format"] and (config.get("effort") == "high" or "haiku" in model)
        peer.answers("Six.", thinking="Hm.")
        assert agent.begin("Twice that?").wait().text == "Six."
    assert not peer.server.refused


@pytest.mark.parametrize(
    ("model", "effort", "last"),
    [
        ("claude-opus-4-1", "", "tool"),
        ("claude-opus-4-1", "high", "words"),
        ("claude-sonnet-5-5", "", "words"),
    ],
)
def test_one_that_thinks_is_not_made_to_call(stack: ExitStack, model: str, effort: str, last: str) -> None:
    peer = Peer("messages", stack)
    if "5-5" in model:
        peer.refuse(1, "output_config.format: Extra inputs are not permitted")
    for _ in range(2):
        if last == "tool":
            peer.answers(calls=[("answer", '{"value": 3}')])
        else:
            peer.answers('{"value": 3}', thinking="Hm.")
    agent = peer.agent(model=model, effort=effort, tools=[add])
    assert agent.begin("2 + 1?", output=int).wait().value == 3
    assert agent.begin("2 + 1?", output=int).wait().value == 3
    assert peer.ways == ["format", last, last]
    peer.answers("Six.")
    assert agent.begin("Twice that?").wait().text == "Six."


def test_thoughts_that_led_to_the_call_are_forgotten(stack: ExitStack) -> None:
    peer = Peer("responses", stack)
    peer.refuse(1, REFUSAL["responses"])
    calls = [responses.call("answer", '{"value": 1}'), responses.call("add", '{"a": 2}')]
    thoughts = [responses.reasoning("sealed-1"), responses.reasoning("sealed-2")]
    output = [thoughts[0], calls[0], thoughts[1], calls[1]]
    peer.server.script(responses.steps(*output, usage=responses.usage(10, 5)))
    peer.answers(calls=[("answer", '{"value": 3}')], thinking="sealed-3")
    peer.answers("Six.")
    agent = peer.agent(tools=[add], model="gpt-5.6-terra")
    assert agent.begin("2 + 1?", output=int).wait().value == 3
    turn = agent.begin("Twice that?").wait()
    assert turn.error is None and turn.text == "Six."


# Other servers of chat completions


def test_a_format_beside_tools_is_refused(stack: ExitStack) -> None:
    peer = Peer("chat", stack, "gemini")
    signature = {"google": {"thought_signature": "s"}}
    call = openai.call("add", '{"a": 2}', extra_content=signature)
    end = [openai.chunk({}, finish_reason="tool_calls"), openai.usage(10, 5), openai.DONE]
    peer.server.script([*call, *end])
    peer.answers(calls=[("answer", '{"value": 3}')])
    agent = peer.agent(tools=[add], provider="gemini")
    turn = agent.begin("2 + 1?", output=int).wait()
    assert turn.error is None and turn.value == 3 and peer.ways == ["format", "tool", "tool"]
    peer.answers('{"value": 3}')
    assert peer.agent(provider="gemini").begin("2 + 1?", output=int).wait().value == 3
    assert peer.ways[-1] == "format"


def test_a_reasoner_takes_neither_format_nor_force(stack: ExitStack) -> None:
    peer = Peer("chat", stack, "deepseek")
    peer.answers(TICKET)
    agent = peer.agent(model="deepseek-reasoner", provider="deepseek")
    assert agent.begin("Which?", output=Ticket).wait().value == HELP
    assert peer.ways == ["format", "tool", "words"]


def test_a_server_that_takes_no_notice(stack: ExitStack) -> None:
    peer = Peer("chat", stack)
    peer.answers("The ticket is of great urgency.")
    peer.answers(f"Sure! ```json\n{TICKET}\n```")
    turn = peer.agent().begin("Which?", output=Ticket).wait()
    assert turn.value == HELP and "Answer with JSON alone" in json.dumps(peer.server.bodies[-1])
