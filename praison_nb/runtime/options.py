"""How one turn is run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ..events import Event
from ..metering import tags
from ..money import parse_usd
from ..turn import Turn
from .approvals import Asker

Subscriber = Callable[[Event, Turn], object]
"""Called on the loop's thread after each event; see `Run.subscribe`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnOptions:
    """How one turn is run, as `Backend.begin` explains it. A turn that `is_sent` was begun by a process that
    ended. Raises ConfigError for a budget that is none and for tags that cannot be.

    >>> TurnOptions(budget="$0.50").budget
    Decimal('0.50')
    """

    subscribers: tuple[Subscriber, ...] = ()
    caller_waits: bool = True
    stream: bool = False
    budget: Decimal | None = None
    asker: Asker | None = None
    view: Callable[[Any], Subscriber] | None = None
    tags: Mapping[str, str] | None = None
    is_sent: bool = False

    def __post_init__(self) -> None:
        if self.budget is not None:
            object.__setattr__(self, "budget", parse_usd(self.budget, "budget"))
        object.__setattr__(self, "tags", tags.checked(self.tags))
