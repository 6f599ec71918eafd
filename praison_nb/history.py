"""What was said in a conversation, in no provider's form: each wire makes of it what its server takes.

>>> said = [User(text="What is 1 + 2?"), Call(id="call_1", name="add", arguments='{"a": 1, "b": 2}')]
>>> [item for each in said for item in from_json(to_json(each))] == said
True
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

VERSION = 1
"""Of what `to_json` makes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """What the user said. `id` is the provider's, where it has one."""

    text: str
    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """What the agent said (Markdown). `id` is that of the Turn's message, "" where it is not known."""

    text: str
    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """The agent called a tool. `arguments` is text as it came: JSON, where the model made no mistake."""

    id: str
    name: str
    arguments: str = "{}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What the call `call_id` came to, as the model gets it."""

    call_id: str
    text: str = ""
    is_error: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Opaque:
    """Something that only who wrote it can read, such as encrypted reasoning: it goes back as it came, to the
    same `wire` and `model` ("PROVIDER/MODEL"), and to nobody else. `payload` is JSON, the wire's own. It
    stands where it came in the reply, before what it led to."""

    wire: str
    model: str
    payload: Mapping[str, Any] = field(default_factory=dict)


Item = User | Text | Call | Result | Opaque
_TYPES: dict[str, type[Item]] = {
    "user": User,
    "text": Text,
    "call": Call,
    "result": Result,
    "opaque": Opaque,
}


def to_json(item: Item) -> dict[str, Any]:
    """The item as JSON holds it."""
    kind = next(name for name, each in _TYPES.items() if isinstance(item, each))
    return {"v": VERSION, "type": kind, **asdict(item)}


def from_json(row: Any) -> list[Item]:
    """The items that `row` holds: one of `to_json`, or several of a chat completion's message, which is what
    praison_nb kept before it had items. What is neither holds none.

    >>> from_json({"role": "assistant", "content": "Hello", "tool_calls": []})
    [Text(text='Hello', id='')]
    """
    raise NotImplementedError
