"""How one turn is run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ..answer_type import AnswerType
from ..content import Attachment
from ..errors import ConfigError
from ..events import Event
from ..metering import tags
from ..metering.shared_budget import SharedBudget
from ..metering.writer import Writer
from ..money import parse_usd
from ..turn import Turn
from .approvals import Asker
from .mailbox import Mailbox
from .pacer import Pacer

Subscriber = Callable[[Event, Turn], object]
"""Called on the loop's thread after each event; see `Run.subscribe`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnWorker:
    """A turn that runs for another process, which books it: here its rows go to the `writer`'s file, which
    nobody keeps. Each request may be answered with `output_limit` tokens, None where any number will do."""

    writer: Writer
    output_limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnOptions:
    """How one turn is run, as `Backend.begin` explains it. A turn that `is_sent` was begun by a process that
    ended. `attachments` go with its prompt, and its answer is to have the type `output`. `pacer` says when
    its requests may be sent, and `mailbox` is where its functions run, in place of its own: both are of
    several turns. With `on_worker` another process books it. Raises ConfigError for what is no such option.

    >>> TurnOptions(budget="$0.50").budget
    Decimal('0.50')
    """

    subscribers: tuple[Subscriber, ...] = ()
    caller_waits: bool = True
    stream: bool = False
    budget: Decimal | SharedBudget | None = None
    asker: Asker | None = None
    view: Callable[[Any], Subscriber] | None = None
    tags: Mapping[str, str] | None = None
    is_sent: bool = False
    attachments: tuple[Attachment, ...] = ()
    output: AnswerType | None = None
    pacer: Pacer | None = None
    mailbox: Mailbox | None = None
    on_worker: OnWorker | None = None

    def __post_init__(self) -> None:
        for name in ("asker", "view"):
            value = getattr(self, name)
            if value is not None and not callable(value):
                raise ConfigError(f"{name} must be a function, not {value!r:.40}.")
        if self.output is not None and not isinstance(self.output, AnswerType):
            raise ConfigError("Only begin() and start() take a type of answers: leave output out.")
        if self.budget is not None and not isinstance(self.budget, SharedBudget):
            object.__setattr__(self, "budget", parse_usd(self.budget, "budget"))
        object.__setattr__(self, "tags", tags.checked(self.tags))


def subscribers_of(given: Any) -> tuple[Subscriber, ...]:
    """The subscribers that were given. Raises ConfigError where that is no list of functions."""
    return _items("subscribers", given, "functions", callable)


def notices_of(given: Any) -> tuple[str, ...]:
    """The notices that were given. Raises ConfigError where that is no list of texts."""
    return _items("notices", given, "texts", lambda each: isinstance(each, str))


def _items(name: str, given: Any, what: str, is_one: Callable[[Any], bool]) -> tuple[Any, ...]:
    if is_one(given):
        raise ConfigError(f"{name} must be a list of {what}: {name}=[{given!r:.40}].")
    items = tuple(given) if isinstance(given, Iterable) else (given,)
    if not isinstance(given, Iterable) or not all(map(is_one, items)):
        raise ConfigError(f"{name} must be a list of {what}, not {given!r:.40}.")
    return items
