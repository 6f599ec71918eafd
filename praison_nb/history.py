"""What was said in a conversation, in no provider's form: each wire makes of it what its server takes.

>>> said = [User(text="What is 1 + 2?"), Call(id="call_1", name="add", arguments='{"a": 1, "b": 2}')]
>>> [item for each in said for item in from_json(to_json(each))] == said
True
>>> results_by_call([*said, Result(call_id="call_1", text="3")])
{1: Result(call_id='call_1', text='3', is_error=False)}
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from .content import ALL_BYTES, Attachment, Kind

VERSION = 1
"""Of what `to_json` makes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """What the user said. `id` is the provider's, where it has one. `attachments` are pictures and documents,
    which the text has the labels of."""

    text: str
    id: str = ""
    attachments: tuple[Attachment, ...] = ()


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What the agent said when it was asked to sum up the conversation, by the User before it. What was said
    before those two is kept, and no model gets it any more. `id` is that of the Turn's message."""

    text: str
    id: str = ""


Item = User | Text | Call | Result | Opaque | Summary
_TYPES: dict[str, type[Item]] = {
    "user": User,
    "text": Text,
    "call": Call,
    "result": Result,
    "opaque": Opaque,
    "summary": Summary,
}


def to_json(item: Item) -> dict[str, Any]:
    """The item as JSON holds it."""
    kind = next(name for name, each in _TYPES.items() if isinstance(item, each))
    row = {"v": VERSION, "type": kind, **asdict(item)}
    if not row.get("attachments", True):
        del row["attachments"]
    return row


def from_json(row: Any) -> list[Item]:
    """The items that `row` holds: one of `to_json`, or several of a chat completion's message, which is what
    praison_nb kept before it had items. An item is itself; what is none of these holds none.

    >>> from_json({"role": "assistant", "content": "Hello", "tool_calls": []})
    [Text(text='Hello', id='')]
    """
    if isinstance(row, Item):
        return [row]
    if not isinstance(row, Mapping):
        return []
    if "role" in row:
        return list(_of_message(row))
    kind = _TYPES.get(str(row.get("type")))
    if kind is None:
        return []
    given = {each.name: row[each.name] for each in fields(kind) if each.name in row}
    if isinstance(attached := given.get("attachments"), list | tuple):
        given["attachments"] = tuple(each for row in attached if (each := _attachment(row)) is not None)
    # Other types than those that were written: no item of ours.
    if not all(isinstance(value, _JSON_TYPES.get(name, str)) for name, value in given.items()):
        return []
    try:
        return [kind(**given)]
    except TypeError:
        return []


_JSON_TYPES: dict[str, type] = {"payload": Mapping, "is_error": bool, "attachments": tuple}
"""Of the fields that are no text."""


def _attachment(row: Any) -> Attachment | None:
    match row:
        case {
            "media_type": str(media_type),
            "data": str(data),
            "name": str(name),
            "label": str(label),
            "tokens": int(tokens),
        }:
            return Attachment(media_type=media_type, data=data, name=name, label=label, tokens=tokens)
    return None


def from_row(row: Any) -> Any:
    """The item that `to_json` made `row` of. Anything else stays as it is: a backend of the user's own keeps
    what it likes, and what was kept before there were items is read by `from_json`."""
    items = from_json(row) if isinstance(row, Mapping) and "role" not in row else []
    return items[0] if items else row


def _of_message(message: Mapping[str, Any]) -> Iterator[Item]:
    """It may be the user's own, so nothing is taken for granted."""
    role, text, key = message.get("role"), _text_of(message.get("content")), message.get("id")
    key = key if isinstance(key, str) else ""
    if role == "user" and text:
        yield User(text=text, id=key)
    if role == "tool" and isinstance(call_id := message.get("tool_call_id"), str):
        yield Result(call_id=call_id, text=text)
    if role != "assistant":
        return
    if text:
        yield Text(text=text, id=key)
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        match call:
            case {"id": str(call_id), "function": {"name": str(name), "arguments": str(arguments)}}:
                yield Call(id=call_id, name=name, arguments=arguments)


def _text_of(content: Any) -> str:
    """Of a message's content: a text, or a list of parts of which some have text."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    texts = (part.get("text") for part in parts if isinstance(part, Mapping))
    return "".join(text for text in texts if isinstance(text, str))


def results_by_call(history: Sequence[Item]) -> dict[int, Result]:
    """The result of each call that has one, by the place of the call in `history`. Ids may come again: a
    result is of the latest call with its id, and where one reply had several of those, of the first of them
    without one."""
    found: dict[int, Result] = {}
    waiting: dict[str, deque[int]] = {}
    of_reply: set[str] = set()
    for place, item in enumerate(history):
        match item:
            case Call():
                if item.id not in of_reply:
                    of_reply.add(item.id)
                    waiting[item.id] = deque()
                waiting[item.id].append(place)
            case Result():
                of_reply.clear()
                if places := waiting.get(item.call_id):
                    found[places.popleft()] = item
            case User():
                of_reply.clear()
    return found


def with_attachments(history: Sequence[Item], takes: Collection[Kind]) -> list[Item]:
    """`history` with those attachments that a server takes, the latest of all that fit into one request. Of
    others the labels stay."""
    made, room = list(history), ALL_BYTES * 4 // 3
    for place, item in reversed(list(enumerate(history))):
        if not isinstance(item, User) or not item.attachments:
            continue
        kept = []
        for each in reversed(item.attachments):
            room -= len(each.data) if each.kind in takes else 0
            if each.kind in takes and room >= 0:
                kept.append(each)
        made[place] = replace(item, attachments=tuple(reversed(kept)))
    return made
