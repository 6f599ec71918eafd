"""What can happen in a turn. Backends yield these; `praison_nb.fold.fold` makes the Turn of them.

Each event has an `id`, unique for what happened, and a `time` in seconds since 1970. Whoever yields events
sees to it that each is yielded once: only a RequestFinished, which is money, is recognized by its id and
counts once even if it comes twice. Tokens are those of `praison_nb.Usage`; money is a Decimal in USD.

>>> from praison_nb import ScriptedBackend, Usage
>>> from praison_nb.events import RequestFinished, RequestStarted, TextDelta, TurnFinished
>>> used = Usage(output_tokens=2)
>>> steps = [RequestStarted(), TextDelta(text="Hello"), RequestFinished(usage=used), TurnFinished()]
>>> turn = ScriptedBackend(steps).begin("Hi").wait()
>>> turn.text, turn.usage.output_tokens, turn.stop_reason
('Hello', 2, 'end_turn')
"""

from __future__ import annotations

import os
import random
import time as _time
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from .answer_type import Answer
from .content import OutputFile
from .errors import PraisonError
from .session import Usage

# Our own: a seed of the user's repeats no id, and the system's randomness costs more than a chunk of text.
_random = random.Random()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_random.seed)


def new_id() -> str:
    """An id that nothing else has."""
    return _random.randbytes(16).hex()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Base:
    id: str = field(default_factory=new_id)
    time: float = field(default_factory=_time.time)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionAttached(_Base):
    """The turn has its session: `session_id` is the backend's id of it, `model` the provider's own name for
    the model, `title` the session's. `url` is where its provider shows it, "" where nobody does."""

    session_id: str
    model: str = ""
    title: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestStarted(_Base):
    """A request to the model begins; whoever yields it sends it after that only, where it can.

    `input_tokens` is an estimate, used until the server has counted; it will not be more than
    `max_input_tokens` (0: not known). `max_output_tokens` is the limit of output that the request sets, None
    where it sets none. Where `takes_limit` the backend sends the lesser one that the turn's run has by then
    (`Run.output_limit`), so that the request fits a budget. One that others follow by themselves has in
    `max_cost` the USD that it costs with them at most, infinity where nobody bounds it. `model`, `provider`
    and `service_tier` are as in RequestFinished, "" where they are not known yet."""

    input_tokens: int = 0
    max_input_tokens: int = 0
    max_output_tokens: int | None = None
    takes_limit: bool = False
    max_cost: Decimal | None = None
    model: str = ""
    provider: str = ""
    service_tier: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDelta(_Base):
    """More of the answer (Markdown). `message_id` tells the answer's messages apart."""

    text: str
    message_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFinal(_Base):
    """A message as it finally is; it replaces all deltas of the same `message_id`."""

    text: str
    message_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thinking(_Base):
    """The model thinks. `text` is what it lets out of it, often nothing."""

    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolStarted(_Base):
    """The model calls a tool. `call_id` is the provider's, `arguments` is JSON text. `runs` says where: here
    ("function"), at the provider ("builtin"), or on an MCP server ("mcp")."""

    call_id: str
    name: str
    arguments: str = "{}"
    runs: Literal["function", "builtin", "mcp"] = "function"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFinished(_Base):
    """A tool call ended. `result` is what the model gets, an error's text where it `is_error`."""

    call_id: str
    result: str = ""
    is_error: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalAsked(_Base):
    """A tool call waits for the user's yes or no. `digest` (`review.digest`) is of the call that would run:
    where the turn has another one under this id it is refused, and nobody is asked."""

    call_id: str
    digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalAnswered(_Base):
    """The user's answer to ApprovalAsked."""

    call_id: str
    allowed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFinished(_Base):
    """A request to the model ended. `usage` is the server's count for this one request, or None when
    it gave none; then the estimate stays. `cost` in USD is the provider's own figure; where that gives none
    (None), the meter sets it, and `cost_source`, by the user's price or the price table. `provider` is the
    company that is paid ("openai", "anthropic", …; "" when nobody is), `service_tier` its own name for the
    tier that served ("priority", "flex", …; "" for the usual one), which has a price of its own.

    `price_source` says by which prices (a table's date, say). `fees` in USD are that part of the cost which
    is not for tokens (a search). `is_lower_bound`: it may have cost more. `started_id` is the id of its
    RequestStarted, "" for the one that began last. `billed_calls` is how often the provider
    did what it bills by the call, by the price table's names: {"web_searches": 2}. `thread` is the
    sub-agent's thread that used this, "" for the agent itself."""

    model: str = ""
    provider: str = ""
    usage: Usage | None = None
    cost: Decimal | None = None
    cost_source: Literal["provider", "table", "user", "local", "unpriced"] = "unpriced"
    service_tier: str = ""
    price_source: str = ""
    fees: Decimal = Decimal(0)
    is_lower_bound: bool = False
    started_id: str = ""
    billed_calls: Mapping[str, int] = field(default_factory=dict)
    thread: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadChanged(_Base):
    """A sub-agent's thread, by its id at the provider, is new or has another status: "running", "idle",
    "waiting" for the user, or a provider's own word. `agent` is the sub-agent's name."""

    thread: str
    agent: str
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionUsage(_Base):
    """What the provider says that the whole session used so far: cumulative, never added to requests.
    `list_cost` in USD, `active_seconds` in seconds, each None until known; `searches` of the web.

    The meter sets the rest: `extra_cost` in USD is what the turn costs beyond its requests, by the provider's
    own figure where `is_provider_cost`; that `is_behind` where it lacks some of what was counted here.
    `fees` in USD are the part of `extra_cost` for searches.
    `cache_write_1h_tokens` are tokens of the turn that were written to the cache for an hour, though its
    requests say five minutes."""

    usage: Usage
    list_cost: Decimal | None = None
    active_seconds: float | None = None
    searches: int = 0
    extra_cost: Decimal = field(default=Decimal(0), metadata={"json": "beyond"})
    is_provider_cost: bool = False
    is_behind: bool = False
    fees: Decimal = Decimal(0)
    cache_write_1h_tokens: int = field(default=0, metadata={"json": "longer_writes"})


Scope = Literal["turn", "map", "comparison", "session", "notebook", "day", "week", "month", "user"]
"""What money is counted over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent(_Base):
    """What the scope `per` has spent so far, this turn included, in USD, and its budget, the `limit`, in USD,
    where it has one. `reserved` is what requests that are under way, or were not counted, may cost at most;
    it is not in `usd`. `turns` is how many turns were counted, `unpriced` how many of them have a part
    without a price, which is not in `usd`. A limit that `is_fixed` is the administrator's. The meter makes
    these."""

    per: Scope
    usd: Decimal
    limit: Decimal | None = None
    reserved: Decimal = Decimal(0)
    is_fixed: bool = False
    turns: int = 1
    unpriced: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity(_Base):
    """What the agent is doing now, in a few words ("retrying", "fetching the model: 3 of 93 MB");
    "" when it is just working. Never kept."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice(_Base):
    """One line that the user should read and that stays with the turn."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerParsed(_Base):
    """The answer's text is a value of the type that was asked for."""

    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesWritten(_Base):
    """The agent wrote these files in its container."""

    files: tuple[OutputFile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnFinished(_Base):
    """The turn is over and the session can go on. `stop_reason` is "end_turn", "max_turns", "max_tokens",
    "interrupted", "refusal", "budget_reached", or a provider's own word. `detail` is one line for the
    user."""

    stop_reason: str = "end_turn"
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnFailed(_Base):
    """The turn is over by an error."""

    error: PraisonError


Event = (
    SessionAttached
    | RequestStarted
    | TextDelta
    | TextFinal
    | Thinking
    | ToolStarted
    | ToolFinished
    | ApprovalAsked
    | ApprovalAnswered
    | RequestFinished
    | ThreadChanged
    | SessionUsage
    | Spent
    | Activity
    | Notice
    | FilesWritten
    | AnswerParsed
    | TurnFinished
    | TurnFailed
)
