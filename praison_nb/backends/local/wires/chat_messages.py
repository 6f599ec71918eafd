"""The history as the messages of a chat completion, in the order and the form that a server's rules want."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ....content import Attachment
from ....history import Call, Item, Opaque, Result, Text, User
from ....text import replace_surrogates
from .base import Rules

Message = dict[str, Any]

NO_ANSWER = "(I was stopped before I could answer.)"
"""Stands where a server wants an answer and there was none."""
NO_PROMPT = "(The conversation goes on.)"
"""Stands where a server wants a prompt and there was none."""

# What a message with calls has in place of a field that must come back, where another model wrote it:
# Google's own word for calls that it did not make, and no thinking.
_CALL_WITHOUT = {"extra_content": {"google": {"thought_signature": "skip_thought_signature_validator"}}}
_MESSAGE_WITHOUT = {"reasoning_content": ""}


def messages_of(history: Sequence[Item], rules: Rules, system: str) -> list[Message]:
    """The messages of a history that is `repaired`."""
    messages = list(_messages(history, rules))
    if rules.assistant_after_tool or rules.alternates:
        messages = list(_answered(messages))
    if rules.alternates:
        messages = _alternating(messages)
    return _with_system(messages, replace_surrogates(system), rules)


def _messages(history: Sequence[Item], rules: Rules) -> Iterator[Message]:
    reply = _Reply()
    for item in history:
        match item:
            case User() | Result():
                yield from reply.messages(rules)
                reply = _Reply()
                if isinstance(item, User):
                    yield {"role": "user", "content": _content(item)}
                else:
                    yield {"role": "tool", "tool_call_id": item.call_id, "content": item.text}
            case Text():
                reply.texts.append(item.text)
            case Call():
                reply.add_call(item)
            case Opaque():
                reply.add_opaque(item)
    yield from reply.messages(rules)


def _content(item: User) -> str | list[dict[str, Any]]:
    """A text where it is only text: not every server takes parts."""
    if not item.attachments:
        return item.text
    parts = replace_surrogates([part for each in item.attachments if (part := _part(each))])
    if not any(each.kind == "picture" for each in item.attachments):
        return "\n\n".join([*(part["text"] for part in parts), item.text])
    return [*parts, {"type": "text", "text": item.text}]


def _part(attached: Attachment) -> dict[str, Any] | None:
    match attached.kind:
        case "picture":
            return {"type": "image_url", "image_url": {"url": attached.data_url}}
        case "text":
            return {"type": "text", "text": f"{attached.label}\n{attached.data}"}
    return None


def _joined(one: Any, other: Any) -> Any:
    """Two contents as one."""
    if isinstance(one, str) and isinstance(other, str):
        return f"{one}\n\n{other}".strip()
    parts = ([{"type": "text", "text": each}] if isinstance(each, str) else each for each in (one, other))
    return [part for each in parts for part in each]


class _Reply:
    """One message of the assistant as it comes together of its items."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._calls: list[dict[str, Any]] = []
        self._fields: dict[str, Any] = {}
        self._call_fields: dict[str, Any] = {}

    def add_call(self, call: Call) -> None:
        function = {"name": call.name, "arguments": call.arguments}
        self._calls.append({"id": call.id, "type": "function", "function": function, **self._call_fields})
        self._call_fields = {}

    def add_opaque(self, item: Opaque) -> None:
        self._fields |= replace_surrogates(item.payload.get("message", {}))
        self._call_fields |= replace_surrogates(item.payload.get("call", {}))

    def messages(self, rules: Rules) -> Iterator[Message]:
        """The message, if there is any."""
        if self.texts or self._calls:
            message: Message = {"role": "assistant", "content": "\n\n".join(self.texts), **self._fields}
            if self._calls:
                message["tool_calls"] = self._calls
                self._fill(message, rules)
            yield message

    def _fill(self, message: Message, rules: Rules) -> None:
        for name in rules.returns:
            if name in _MESSAGE_WITHOUT:
                message.setdefault(name, _MESSAGE_WITHOUT[name])
            # Of calls side by side some sign the first one only.
            if name in _CALL_WITHOUT and not any(name in call for call in self._calls):
                for call in self._calls:
                    call[name] = _CALL_WITHOUT[name]


def _answered(messages: Sequence[Message]) -> Iterator[Message]:
    """An assistant's message between a tool's result and the user."""
    before = ""
    for message in messages:
        if before == "tool" and message["role"] == "user":
            yield {"role": "assistant", "content": NO_ANSWER}
        before = message["role"]
        yield message


def _alternating(messages: Sequence[Message]) -> list[Message]:
    made: list[Message] = []
    for message in messages:
        last = made[-1] if made else None
        if last is None and message["role"] != "user":
            made.append({"role": "user", "content": NO_PROMPT})
        if last is not None and last["role"] == message["role"] == "user":
            made[-1] = {**last, "content": _joined(last["content"], message["content"])}
        else:
            made.append(message)
    return made


def _with_system(messages: list[Message], system: str, rules: Rules) -> list[Message]:
    if not system:
        return messages
    if rules.system_role != "user":
        return [{"role": rules.system_role, "content": system}, *messages]
    first, *more = messages or [{"role": "user", "content": ""}]
    if first["role"] != "user":
        return [{"role": "user", "content": system}, *messages]
    return [{**first, "content": _joined(system, first["content"])}, *more]
