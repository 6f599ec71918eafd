"""What the three wires have in common: what one request asks, a provider's rules, and the interface.

A wire makes a request of the history (`request`, pure) and reads the events of the answer (`Reader`, pure).
It knows neither HTTP nor the loop: both are the same for all.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

from ....content import Kind
from ....events import Event
from ....history import Item, User
from ....tools.tool import Tool
from ....turn import BYTES_PER_TOKEN, byte_length
from .reply import Reply

Effort = Literal["", "none", "low", "medium", "high", "xhigh"]
"""How long a model thinks; "" leaves it to the provider."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a provider's server asks beyond its wire's form, as data. The defaults are the strictest common
    form, which every server takes: they are those of an address that is nobody's we know."""

    ids: str = r"[A-Za-z0-9]{9}"
    """What the id of a tool call must match. Others are replaced, the same ones alike."""
    assistant_after_tool: bool = True
    """After a tool's result comes an assistant's message, never a user's."""
    alternates: bool = False
    """User and assistant in turns, no two messages of one in a row (chat templates of GGUF files)."""
    system_role: Literal["system", "developer", "user"] = "system"
    returns: tuple[str, ...] = ()
    """Fields of an assistant's message, or of its tool calls, that must come back to the model that sent
    them: `reasoning_content`, `extra_content`."""
    max_tokens: str = "max_tokens"
    """The name of the limit of an answer's length."""
    effort: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """For each effort what goes into the body; an effort that is not named is a ConfigError."""
    thinking_beside_output: bool = False
    """Whether tokens of thinking are missing in `completion_tokens`, though they are in `total_tokens`."""
    cost_field: str = "cost"
    """The field of the usage that has the request's cost; a dot leads into an object."""
    cost_unit: str = "1"
    """USD that 1 in `cost_field` stands for, as a decimal number."""
    asks_cost: bool = False
    """Whether the server can be asked, a moment later, what a request cost (`GET /generation?id=…`)."""
    native_tools: bool = True
    """Whether it takes tools, calls and results. Otherwise they are told in words, and a call that is
    required is had by a schema for the answer (small models in GGUF files)."""
    plain_schemas: bool = True
    """Tools' schemas without the words of JSON schema that not every server knows."""
    tools_without_effort: str = ""
    """Models (a regular expression for the name's beginning) that take tools with effort "none" only."""
    cache_key: str = ""
    """The field for a key that is the same in all requests of a session, "" where the server knows none."""
    stream_options: bool = True
    """Whether the server is asked for its count by `stream_options`."""
    attachments: frozenset[Kind] = frozenset(("picture", "document", "text"))
    """What of prompts' attachments the server takes, as far as its wire has them."""


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """The JSON schema that the whole answer must follow, and a `name` for it. One that is not `strict` has
    parts which some servers do not know, and is a wish there."""

    name: str
    schema: Mapping[str, Any]
    strict: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """All that one request to a model asks. `origin` ("PROVIDER/MODEL" or "HOST/MODEL") is whose opaque items
    may be sent. `tool_choice` is "auto", "required", "none" or a tool's name. `output` is the form of the
    answer. `options` goes into the body as it is and wins over all else."""

    model: str
    origin: str
    history: Sequence[Item]
    system: str = ""
    tools: Sequence[Tool] = ()
    tool_choice: str = "auto"
    effort: Effort = ""
    output: OutputFormat | None = None
    session_id: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    rules: Rules = field(default_factory=Rules)

    def size(self, body: Mapping[str, Any], encode: Callable[[Any], bytes] | None = None) -> int:
        """About how many bytes of `body`, which the wire made of the request, the model reads. An attachment
        has those of its own tokens, however long its base64 is. `encode` writes JSON, b"" where it cannot."""
        attached = (
            each
            for item in self.history
            if isinstance(item, User)
            for each in item.attachments
            if each.kind != "text"
        )
        return request_bytes(body, encode) + sum(
            each.tokens * BYTES_PER_TOKEN - len(each.data) for each in attached
        )


_READ = (
    "messages",
    "input",
    "system",
    "instructions",
    "tools",
    "functions",
    "response_format",
    "text",
    "output_config",
)
"""Fields of a request's body that the model reads."""


_encode = json.JSONEncoder(ensure_ascii=False, default=str, separators=(",", ":")).encode


def request_bytes(body: Mapping[str, Any], encode: Callable[[Any], bytes] | None = None) -> int:
    """About how many bytes of a request the model reads, its tools included."""
    parts = (body[name] for name in _READ if body.get(name))
    written = ((part, b"" if encode is None else encode(part)) for part in parts)
    return sum(len(made) or byte_length(_encode(part)) for part, made in written)


class Reader(Protocol):
    """Reads the answer to one request. `reply` has what came so far at any time."""

    reply: Reply

    def read(self, event: Mapping[str, Any]) -> Iterator[Event]:
        """Take one event of the stream (the whole answer, where the server sent one JSON body) and yield what
        it tells: TextDelta and Thinking. Raises nothing, whatever `event` holds."""
        ...

    def end(self) -> Iterator[Event]:
        """The stream ended as it should ([DONE], or the connection closed in peace)."""
        ...


class Wire(Protocol):
    """A form of requests and answers."""

    name: ClassVar[str]
    """ "chat", "responses" or "messages"."""
    path: ClassVar[str]
    """Where it is, behind the server's base_url."""
    attachments: ClassVar[frozenset[Kind]]
    """What of prompts' attachments it has a form for."""

    def request(self, asked: ModelRequest) -> dict[str, Any]:
        """The body of the request, the history repaired as the server takes it. Pure. Raises ConfigError
        where the user asks for something that the server does not have."""
        ...

    def reader(self, asked: ModelRequest) -> Reader:
        """A reader for the answer."""
        ...
